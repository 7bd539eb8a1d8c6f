"""Looking after an environment that is there: verify it, and repair what is broken."""

from install.environments import SERVER, Environment
from install.errors import InstallError
from install.home import BROKEN, READY, Home
from install.records import Damage, find_damage, write_records
from install.reporting import Reporter
from install.requirement_files import entries, names, package_files
from install.setup import ensure, link_server, reinstall, remake, self_test

_NAMED = 3


def verify(home: Home, environment: Environment, reporter: Reporter) -> None:
    """Compare every file of an environment with what was installed, and run its self-test.

    Raises InstallError that names what is wrong; the environment then counts as broken until it is repaired.
    """
    with home.locked():
        if problem := _problem(home, environment, reporter):
            raise problem
    reporter.say(f"  {environment.name}: every file is as it was installed, and it works")


def repair(home: Home, environment: Environment, reporter: Reporter) -> None:
    """Install anew what `verify` finds broken, and where that does not help, or much is missing, everything.

    Raises InstallError.
    """
    entry = home.entry(environment)
    if entry.get("state") not in (READY, BROKEN):
        ensure(home, [environment], reporter)
        return
    with home.locked():
        damage = find_damage(home, environment, reporter)
        listed = names(text for file in package_files(environment, entry.get("lock")) for text in entries(file))
        if damage and {d.package for d in damage} <= listed:
            reporter.say(f"  Damaged: {_sentence(damage)}. Installing that again.")
            home.record(environment, {**entry, "state": BROKEN})
            reinstall(home, environment, [d.package for d in damage], reporter)
            write_records(home, environment)
        if problem := _problem(home, environment, reporter):
            reporter.say(f"  {problem.message} Installing everything again.")
            remake(home, environment, reporter)
    ensure(home, [environment], reporter)
    what = "repaired" if damage or problem else "nothing was broken"
    reporter.say(f"  {environment.name}: {what}")


def _problem(home: Home, environment: Environment, reporter: Reporter) -> InstallError | None:
    """What is wrong with an environment, and on record; None where nothing is."""
    entry = home.entry(environment)
    if entry.get("state") not in (READY, BROKEN):
        return InstallError(f"The environment '{environment.name}' is not installed.", "Install it first.")
    damage = find_damage(home, environment, reporter)
    problem = None
    if not home.packages(environment).is_dir():
        problem = InstallError("The folder of packages is gone.", "Repair installs everything again.")
    elif damage:
        problem = InstallError(f"Damaged: {_sentence(damage)}.", "Repair installs that again.")
    else:
        try:
            if environment is SERVER:
                link_server(home)
            self_test(home, environment, reporter)
        except InstallError as error:
            problem = error
    home.record(environment, {**entry, "state": BROKEN if problem else READY})
    return problem


def _sentence(damage: list[Damage]) -> str:
    named = ", ".join(map(str, damage[:_NAMED]))
    return named + (f" and {len(damage) - _NAMED} more packages" if len(damage) > _NAMED else "")
