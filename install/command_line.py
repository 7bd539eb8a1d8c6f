"""`python3 -m install`: the commands and their options."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import install
from install import demonstration, detectron2, extension, libraries, lock, testing
from install.backends import NAMES
from install.care import repair, verify
from install.child import clean_environment, end_with_parent
from install.environments import ALL, BLENDERS, DEMO_BLENDER, SERVER
from install.errors import InstallError
from install.home import HOME_VARIABLE, Home, default_home
from install.planning import plan
from install.reporting import JsonReporter, Reporter
from install.setup import Wish, download, ensure, install_from, remove

_EPILOG = """\
pip's own settings are honoured: index, proxy, certificates, cache. On Linux many indexes offer torch with CUDA, about
2.5 GB more; for the CPU build name an index that has it before the first setup, for example
  PIP_EXTRA_INDEX_URL=ADDRESS_OF_THE_CPU_INDEX python3 -m install setup
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options, rest = _parse(sys.argv[1:] if arguments is None else arguments)
    home = Home(options.prefix or default_home())
    if options.json:
        reporter: Reporter = JsonReporter()
    else:
        # What `run` starts owns the output.
        reporter = Reporter(sys.stderr if options.command == "run" else sys.stdout)
    signal.signal(signal.SIGTERM, _interrupt)
    if options.attached:
        end_with_parent()
    try:
        return _COMMANDS[options.command](home, options, rest, reporter)
    except InstallError as error:
        reporter.fail(error)
        return 1
    except KeyboardInterrupt:
        error = InstallError("Stopped.", "Half-made environments are removed; the same command goes on.")
        reporter.fail(error, cancelled=True)
        return 130


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument(
        "--prefix", type=Path, metavar="DIR", help="folder for everything (default: your user data)"
    )
    everywhere.add_argument("--json", action="store_true", help="report as JSON lines, for programs")
    everywhere.add_argument("--attached", action="store_true", help="stop when standard input ends, for programs")
    parser = argparse.ArgumentParser(
        prog="python3 -m install",
        description=install.__doc__,
        epilog=_EPILOG,
        parents=[everywhere],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, **options: object) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, **{"parents": [everywhere], **options})

    wishes = argparse.ArgumentParser(add_help=False)
    wishes.add_argument(
        "--backend", choices=["auto", *NAMES], default="auto", help="build of torch (default: what suits the computer)"
    )
    wishes.add_argument(
        "--python",
        type=Path,
        metavar="PATH",
        help="make it from this interpreter (default: the best version of this one and those on the PATH)",
    )
    wishes.add_argument("--wheels", type=Path, metavar="DIR", help="install from this folder alone, offline")

    setup = command("setup", "Make the server's environment.", parents=[everywhere, wishes])
    setup.add_argument(
        "--blender",
        action="append",
        nargs="?",
        const=DEMO_BLENDER.name.removeprefix("blender-"),
        choices=list(BLENDERS),
        default=[],
        help="also make the environment of a Blender (%(const)s where no version is named)",
    )
    setup.add_argument("--tests", action="store_true", help="also add what the tests need")
    command("plan", "Say what `setup` would do, and do nothing.", parents=[everywhere, wishes])
    command("verify", "Compare every file of the server's environment with what was installed, and test it.")
    command("repair", "Install again what `verify` finds broken; everything where that does not help.").add_argument(
        "--wheels", type=Path, metavar="DIR", help="install from this folder alone, offline"
    )
    fetch = command(
        "download",
        "Fetch the server's packages into a folder, for `setup --wheels` on a computer offline.",
        parents=[everywhere, wishes],
    )
    fetch.add_argument("-o", "--out", type=Path, default=Path("wheels"), help="folder for them (default: wheels)")
    extra = command(
        "detectron2", f"Build detectron2 from its source into the server's environment ({detectron2.WORKS_ON})."
    )
    extra.add_argument(
        "--source",
        default=detectron2.SOURCE,
        metavar="DIR|ARCHIVE|ADDRESS",
        help="folder or archive with its source, or an address as pip takes it (default: its public repository)",
    )
    command("lock", "Resolve the server's packages for all systems anew. For developers; needs a package index.")
    show = command("demo", "Set up, and turn a video into a take, a Blender file, a BVH file, a preview and a report.")
    show.add_argument("video", nargs="?", type=Path, help="without it a clip that comes with this project")
    show.add_argument("-o", "--out", type=Path, default=Path("out"), help="folder for the results (default: out)")
    show.epilog = "What follows -- is handed to `vp3d capture`, for example: -- --fov 60"
    test = command("test", "Set up, and run the tests; other arguments are pytest's.")
    test.add_argument(
        "--only", action="append", choices=list(ALL), default=[], help="run the tests of one environment only"
    )
    run = command("run", "Run a command in the server's environment: run -- vp3d capture …")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="vp3d, python, or a program there")
    build = command("extension", "Build the add-on's zip with Blender's own tool.")
    build.add_argument("-o", "--out", type=Path, default=Path("dist"), help="folder for the zip (default: dist)")
    command("libraries", "Name the Debian packages whose libraries Blender needs and this system lacks.")
    command("remove", "Remove the environments; models, takes and settings stay.")

    arguments = list(arguments)
    passed_on = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, passed_on = arguments[:at], arguments[at + 1 :]
    options, unknown = parser.parse_known_args(arguments, argparse.Namespace(prefix=None, json=False, attached=False))
    if unknown and options.command != "test":
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options, [*unknown, *passed_on]


def _setup(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    environments = [SERVER, *(BLENDERS[version] for version in options.blender)]
    ensure(home, environments, reporter, tests=options.tests, wish=_wish(options))
    reporter.say(f"Ready: {', '.join(e.name for e in environments)} in {home.path}")
    reporter.result(home=str(home.path))
    return 0


def _plan(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    plan(home, _wish(options), reporter)
    return 0


def _verify(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    verify(home, SERVER, reporter)
    reporter.result(home=str(home.path))
    return 0


def _repair(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    if options.wheels:
        install_from(options.wheels)
    repair(home, SERVER, reporter)
    reporter.result(home=str(home.path))
    return 0


def _detectron2(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    detectron2.install(home, options.source, reporter)
    reporter.result(home=str(home.path))
    return 0


def _wish(options: argparse.Namespace) -> Wish:
    if options.wheels:
        install_from(options.wheels)
    return Wish(options.backend, options.python)


def _demo(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    demonstration.run(home, options.video, options.out, rest, reporter)
    return 0


def _test(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    return testing.run(home, [ALL[name] for name in options.only], rest, reporter)


def _run(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    words = [*options.words, *rest]
    if not words:
        raise InstallError("There is no command to run.", "Write it after two dashes: run -- vp3d --help")
    ensure(home, [SERVER], reporter)
    return subprocess.call(
        demonstration.in_environment(home, SERVER, words), env=clean_environment(**{HOME_VARIABLE: str(home.path)})
    )


def _extension(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    ensure(home, [DEMO_BLENDER], reporter)
    path = extension.build(home, options.out.absolute())
    reporter.say(f"Built and validated: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    reporter.result(path=str(path))
    return 0


def _download(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    download(home, SERVER, options.out.absolute(), _wish(options), reporter)
    reporter.say(f"Downloaded to {options.out}. Offline: python3 -m install setup --wheels {options.out}")
    reporter.result(path=str(options.out.absolute()))
    return 0


def _lock(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    reporter.result(paths=[str(path) for path in lock.write_locks(reporter)])
    return 0


def _libraries(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    packages = libraries.missing()
    reporter.say(" ".join(packages))
    reporter.result(packages=packages)
    return 0


def _remove(home: Home, options: argparse.Namespace, rest: list[str], reporter: Reporter) -> int:
    remove(home, list(ALL.values()), reporter)
    reporter.result(home=str(home.path))
    return 0


_COMMANDS = {
    "setup": _setup,
    "plan": _plan,
    "verify": _verify,
    "repair": _repair,
    "detectron2": _detectron2,
    "demo": _demo,
    "test": _test,
    "run": _run,
    "extension": _extension,
    "download": _download,
    "lock": _lock,
    "libraries": _libraries,
    "remove": _remove,
}


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
