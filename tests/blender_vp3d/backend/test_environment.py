import json
import os

import pytest

from blender_vp3d.backend import environment
from blender_vp3d.backend.environment import State


def write_state(home, text):
    home.mkdir(exist_ok=True)
    (home / "install.json").write_text(text, encoding="utf-8")


def make_python(home):
    python = environment.python_of(home / "server")
    python.parent.mkdir(parents=True)
    python.touch()


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("{}", State.NOT_INSTALLED),
        ('{"blender-5.0": {"state": "ready"}}', State.NOT_INSTALLED),
        ('{"server": {"state": "incomplete"}}', State.BROKEN),
        ('{"server": {"state": "broken"}}', State.BROKEN),
        ('{"server": {"state": "ready", "version": "1.2"}}', State.BROKEN),
        ('{"server": {"state": "sideways"}}', State.BROKEN),
        ('{"server": 3}', State.BROKEN),
        ("[]", State.BROKEN),
        ('{"server": {"sta', State.BROKEN),
        ("\xff\xfe", State.BROKEN),
    ],
)
def test_state_without_a_python(tmp_path, text, state):
    write_state(tmp_path, text)
    assert environment.read(tmp_path).state is state


def test_state_of_an_absent_home(tmp_path):
    assert environment.read(tmp_path / "nowhere").state is State.NOT_INSTALLED


def test_ready_with_its_python(tmp_path):
    home = tmp_path / "Größe und Raum"
    write_state(home, '{"server": {"state": "ready", "version": "1.2"}}')
    make_python(home)
    found = environment.read(home)
    assert (found.state, found.version) == (State.READY, "1.2")
    assert found.python.is_file()


def test_an_installer_at_work_is_seen(tmp_path, repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository))
    from install.home import Home

    write_state(tmp_path, '{"server": {"state": "incomplete"}}')
    with Home(tmp_path).locked():
        assert environment.read(tmp_path).state is State.INSTALLING
    assert environment.read(tmp_path).state is State.BROKEN


def test_other_packages_or_another_server_need_an_update(tmp_path, repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository))
    from install.environments import SERVER
    from install.requirement_files import key

    make_python(tmp_path)
    entry = {"state": "ready", "lock": "torch.txt", "key": key(SERVER, "torch.txt")}
    write_state(tmp_path, json.dumps({"server": entry}))
    assert environment.read(tmp_path).state is State.READY
    packages = tmp_path / ("server/Lib/site-packages" if os.name == "nt" else "server/lib/python3.11/site-packages")
    packages.mkdir(parents=True)
    for used, state in ((repository / "server", State.READY), (tmp_path / "gone", State.UPDATE_NEEDED)):
        (packages / "vp3d.pth").write_text(f"import sys; sys.path.append({str(used)!a})\n")
        assert environment.read(tmp_path).state is state
    (packages / "vp3d.pth").unlink()
    write_state(tmp_path, json.dumps({"server": {**entry, "key": "of another version"}}))
    assert environment.read(tmp_path).state is State.UPDATE_NEEDED


def test_every_state_has_a_sentence():
    assert set(environment.SENTENCES) == set(State)


def test_home_follows_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("VP3D_HOME", str(tmp_path))
    assert environment.default_home() == tmp_path


@pytest.mark.skipif(os.name == "nt", reason="the folder of Linux and macOS")
def test_home_is_the_one_of_server_and_installer(monkeypatch, repository):
    monkeypatch.delenv("VP3D_HOME", raising=False)
    monkeypatch.syspath_prepend(str(repository))
    from install import home as installer

    assert environment.default_home() == installer.default_home()
    assert environment.HOME_VARIABLE == installer.HOME_VARIABLE


def test_payload_beside_the_package_and_inside_it(tmp_path, repository):
    assert environment.payload("server") == repository / "server"
    package = tmp_path / "extension"
    (package / "server").mkdir(parents=True)
    assert environment.payload("server", package) == package / "server"
    assert environment.payload("install", package) is None


def test_children_inherit_no_foreign_python(monkeypatch, tmp_path):
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    variables = environment.child_variables(tmp_path, EXTRA="1")
    assert not [name for name in variables if name.startswith(("PYTHON", "VIRTUAL_ENV", "CONDA"))]
    assert variables["HTTPS_PROXY"] == "proxy:3128"
    assert (variables["VP3D_HOME"], variables["EXTRA"]) == (str(tmp_path), "1")
