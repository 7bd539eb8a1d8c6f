"""The builds of torch that this version knows, and which one suits a computer. Nothing here needs torch."""

import ctypes
import platform
import sys
from dataclasses import dataclass

from install.errors import InstallError

TORCH = "torch==2.13.0"
CPU_TORCH = f"{TORCH}+cpu"
"""As the indexes of CPU builds call it; on Linux the plain name is the build with CUDA."""

CPU_LOCK = "torch-cpu.txt"

_OLDEST_CARD = (7, 5)
"""Compute capability (Turing, 2018) below which the current CUDA builds of torch do not run."""
_OLDEST_DRIVER = 13_000
"""Newest CUDA that the driver knows, as `cuDriverGetVersion` counts, below which they do not run either."""
_DRIVER_LIBRARY = {"win32": "nvcuda.dll", "linux": "libcuda.so.1"}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...


@dataclass(frozen=True)
class Backend:
    """A build of torch for one system.

    Attributes:
        name: what the command line and the preferences call it.
        title: where it computes, one phrase.
        lock: file with torch and what comes with this build alone.
        download_mb, disk_mb: of those packages, measured from the wheels.
    """

    name: str
    title: str
    lock: str
    download_mb: int
    disk_mb: int


BACKENDS: dict[str, dict[str, Backend]] = {
    "linux": {
        "cpu": Backend("cpu", "the processor", CPU_LOCK, 190, 700),
        "cuda": Backend("cuda", "an NVIDIA card (CUDA 13)", "torch.txt", 2730, 4730),
    },
    "win32": {"cpu": Backend("cpu", "the processor", "torch.txt", 120, 500)},
    "darwin": {"mps": Backend("mps", "Apple's processor and graphics (Metal)", "torch.txt", 90, 350)},
}
"""By `sys.platform`; the first of a system is what everybody can use there."""


@dataclass(frozen=True)
class Choice:
    """A backend, and one sentence that says why it was chosen."""

    backend: Backend
    reason: str


@dataclass(frozen=True)
class Card:
    """The best NVIDIA card: compute capability, and the newest CUDA that the driver knows (13010 is 13.1)."""

    capability: tuple[int, int]
    driver: int


def choose(
    name: str = "auto", system: str = sys.platform, machine: str = platform.machine(), card: Card | None = None
) -> Choice:
    """The backend of that name, or with "auto" the one that suits the computer.

    Args:
        name: "auto", or a key of `BACKENDS[system]`.
        system: `sys.platform`.
        machine: `platform.machine()`.
        card: what `find_card` found.

    Raises:
        InstallError: torch has no such build for this system.
    """
    there = BACKENDS.get(system)
    if there is None or (system == "darwin" and machine != "arm64"):
        what = "Macs with an Intel processor" if system == "darwin" else "this operating system"
        raise InstallError(f"There is no current torch for {what}.", "Use Linux, Windows, or a Mac with Apple silicon.")
    first = next(iter(there.values()))
    if name != "auto":
        if name not in there:
            known = " or ".join(there)
            raise InstallError(f"There is no build of torch for '{name}' on this system.", f"Choose auto, {known}.")
        return Choice(there[name], f"Torch for {there[name].title}, as you chose.")
    if card is None:
        return Choice(first, f"Torch for {first.title}: there is no NVIDIA card that its driver tells of.")
    if "cuda" not in there:
        return Choice(first, f"Torch for {first.title}: package indexes have no CUDA build for this system.")
    if card.capability < _OLDEST_CARD:
        major, minor = card.capability
        return Choice(first, f"Torch for {first.title}: this NVIDIA card (capability {major}.{minor}) is too old.")
    if card.driver < _OLDEST_DRIVER:
        return Choice(first, f"Torch for {first.title}: the NVIDIA driver is too old for CUDA 13; update it first.")
    return Choice(there["cuda"], f"Torch for {there['cuda'].title}, which this computer has.")


def find_card(library: str | None = None) -> Card | None:
    """The best NVIDIA card as the driver's own library tells; None where there is no card or no driver."""
    name = library or _DRIVER_LIBRARY.get(sys.platform)
    if name is None:
        return None
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return None
    version, count = ctypes.c_int(), ctypes.c_int()
    if (
        driver.cuInit(0)
        or driver.cuDriverGetVersion(ctypes.byref(version))
        or driver.cuDeviceGetCount(ctypes.byref(count))
    ):
        return None
    found = [_capability(driver, index) for index in range(count.value)]
    return Card(max(found), version.value) if found else None


def _capability(driver: ctypes.CDLL, index: int) -> tuple[int, int]:
    values = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, index)
        values.append(value.value)
    return values[0], values[1]
