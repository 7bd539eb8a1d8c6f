"""Which build of torch a computer gets."""

import ctypes
import subprocess
from pathlib import Path

import pytest

from install.backends import BACKENDS, Card, choose, find_card, has_amd_card
from install.environments import REQUIREMENTS
from install.errors import InstallError

NEW = Card((8, 9), 13_010)


@pytest.mark.parametrize(
    ("system", "machine", "card", "expected", "reason"),
    [
        ("linux", "x86_64", None, "cpu", "no NVIDIA card"),
        ("linux", "x86_64", NEW, "cuda", "which this computer has"),
        ("linux", "x86_64", Card((6, 1), 13_010), "cuda-older", "card is too old for CUDA 13"),
        ("linux", "x86_64", Card((8, 9), 12_080), "cuda-older", "driver is too old for CUDA 13"),
        ("linux", "x86_64", Card((3, 5), 13_010), "cpu", "too old"),
        ("linux", "x86_64", Card((8, 9), 12_040), "cpu", "driver is too old"),
        ("win32", "AMD64", NEW, "cuda", "which this computer has"),
        ("darwin", "arm64", None, "mps", "as on every Mac"),
    ],
)
def test_what_suits_a_computer(system: str, machine: str, card: Card | None, expected: str, reason: str) -> None:
    choice = choose("auto", system, machine, card)
    assert choice.automatic
    assert choice.backend.name == expected
    assert reason in choice.reason


def test_an_amd_card_is_told_of_and_left_to_the_user(tmp_path: Path) -> None:
    for node, number in (("0", "0"), ("1", "41021")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "gpu_id").write_text(f"{number}\n")
    assert has_amd_card(tmp_path)
    assert not has_amd_card(tmp_path / "nowhere")
    choice = choose("auto", "linux", "x86_64", None, amd=True)
    assert choice.backend.name == "cpu"
    assert "choose rocm" in choice.reason


def test_the_user_decides() -> None:
    assert choose("cpu", "linux", "x86_64", NEW).backend.name == "cpu"
    assert choose("cuda", "linux", "x86_64", None).backend.name == "cuda"
    assert not choose("rocm", "linux", "x86_64", None).automatic
    with pytest.raises(InstallError, match="no build of torch for 'mps'") as raised:
        choose("mps", "linux", "x86_64", None)
    assert "auto, cpu or cuda or cuda-older" in raised.value.hint


def test_systems_without_torch_are_told_so() -> None:
    with pytest.raises(InstallError, match="Macs with an Intel processor"):
        choose("auto", "darwin", "x86_64", None)
    with pytest.raises(InstallError, match="this operating system"):
        choose("auto", "freebsd14", "amd64", None)


def test_every_backend_has_its_lock_or_an_index_of_its_own() -> None:
    for there in BACKENDS.values():
        for name, backend in there.items():
            assert backend.name == name
            assert backend.build or (REQUIREMENTS / backend.lock).is_file()
            assert bool(backend.disk_mb) == bool(backend.download_mb) == (REQUIREMENTS / backend.lock).is_file()


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
