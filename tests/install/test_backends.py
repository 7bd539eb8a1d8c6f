"""Which build of torch a computer gets."""

import ctypes
import subprocess
from pathlib import Path

import pytest

from install.backends import BACKENDS, Card, choose, find_card
from install.environments import REQUIREMENTS
from install.errors import InstallError

NEW = Card((8, 9), 13_010)


@pytest.mark.parametrize(
    ("system", "machine", "card", "expected", "reason"),
    [
        ("linux", "x86_64", None, "cpu", "no NVIDIA card"),
        ("linux", "x86_64", NEW, "cuda", "which this computer has"),
        ("linux", "x86_64", Card((6, 1), 13_010), "cpu", "too old"),
        ("linux", "x86_64", Card((8, 9), 12_040), "cpu", "driver is too old"),
        ("win32", "AMD64", NEW, "cpu", "no CUDA build"),
        ("darwin", "arm64", None, "mps", "no NVIDIA card"),
    ],
)
def test_what_suits_a_computer(system: str, machine: str, card: Card | None, expected: str, reason: str) -> None:
    choice = choose("auto", system, machine, card)
    assert choice.backend.name == expected
    assert reason in choice.reason


def test_the_user_decides() -> None:
    assert choose("cpu", "linux", "x86_64", NEW).backend.name == "cpu"
    assert choose("cuda", "linux", "x86_64", None).backend.name == "cuda"
    with pytest.raises(InstallError, match="no build of torch for 'mps'") as raised:
        choose("mps", "linux", "x86_64", None)
    assert "auto, cpu or cuda" in raised.value.hint


def test_systems_without_torch_are_told_so() -> None:
    with pytest.raises(InstallError, match="Macs with an Intel processor"):
        choose("auto", "darwin", "x86_64", None)
    with pytest.raises(InstallError, match="this operating system"):
        choose("auto", "freebsd14", "amd64", None)


def test_every_backend_has_its_lock() -> None:
    for there in BACKENDS.values():
        for name, backend in there.items():
            assert backend.name == name
            assert (REQUIREMENTS / backend.lock).is_file()


def test_no_driver_is_no_card(tmp_path: Path) -> None:
    assert find_card("libthere-is-no-such-driver.so.1") is None


def test_the_best_card_is_asked_of_the_driver_itself(tmp_path: Path) -> None:
    """A driver library of our own with two cards: the functions are called as CUDA's headers declare them."""
    source = tmp_path / "driver.c"
    source.write_text(
        """
        int cuInit(unsigned flags) { return flags; }
        int cuDriverGetVersion(int *version) { *version = 13010; return 0; }
        int cuDeviceGetCount(int *count) { *count = 2; return 0; }
        int cuDeviceGetAttribute(int *value, int attribute, int device) {
            *value = device ? (attribute == 75 ? 8 : 9) : (attribute == 75 ? 6 : 1);
            return 0;
        }
        """
    )
    library = tmp_path / "libdriver.so"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler here")
    assert isinstance(ctypes.CDLL(str(library)), ctypes.CDLL)
    assert find_card(str(library)) == NEW
