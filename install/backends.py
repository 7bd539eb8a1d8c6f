"""The builds of torch that this version knows, and which one suits a computer. Nothing here needs torch."""

import ctypes
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from install.errors import InstallError

TORCH = "torch==2.13.0"
PLAIN_LOCK = "torch.txt"
"""Lock of the build that every package index has: with CUDA on Linux, without on Windows, with Metal on macOS."""

_OLDEST_CARD = (7, 5)
"""Compute capability (Turing, 2018) below which builds for CUDA 13 do not run, and `_OLDEST_DRIVER` their driver."""
_OLDEST_DRIVER = 13_000
"""Newest CUDA that the driver knows, as `cuDriverGetVersion` counts."""
_OLDEST_CARD_EVER = (5, 0)
"""The same for CUDA 12.6 (Maxwell, 2014), the last that runs on older cards."""
_OLDEST_DRIVER_EVER = 12_060
_DRIVER_LIBRARY = {"win32": "nvcuda.dll", "linux": "libcuda.so.1"}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
_AMD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")


@dataclass(frozen=True)
class Backend:
    """A build of torch for one system.

    Attributes:
        name: what the command line and the preferences call it.
        title: where it computes, one phrase.
        lock: file with torch and what comes with this build alone.
        download_mb, disk_mb: of those packages, measured from the wheels; 0 where no index has them to measure.
        build: torch's name for it, as in torch==2.13.0+cpu; such builds have package indexes of their own, which the
            user names. Empty for the one that every index has.
        device: what torch calls the place where it computes.
    """

    name: str
    title: str
    lock: str
    download_mb: int
    disk_mb: int
    build: str = ""
    device: str = "cpu"

    @property
    def requirement(self) -> str:
        """What pip calls it."""
        return f"{TORCH}+{self.build}" if self.build else TORCH


_CUDA = "an NVIDIA card (CUDA 13)"
_OLDER_CUDA = "an older NVIDIA card (CUDA 12.6)"

BACKENDS: dict[str, dict[str, Backend]] = {
    "linux": {
        "cpu": Backend("cpu", "the processor", "torch-cpu.txt", 190, 700, "cpu"),
        "cuda": Backend("cuda", _CUDA, PLAIN_LOCK, 2730, 4730, device="cuda"),
        "cuda-older": Backend("cuda-older", _OLDER_CUDA, "torch-cu126.txt", 0, 0, "cu126", "cuda"),
        "rocm": Backend("rocm", "an AMD card (ROCm 7.2)", "torch-rocm.txt", 0, 0, "rocm7.2", "cuda"),
    },
    "win32": {
        "cpu": Backend("cpu", "the processor", PLAIN_LOCK, 120, 500),
        "cuda": Backend("cuda", _CUDA, "torch-cu130-windows.txt", 0, 0, "cu130", "cuda"),
        "cuda-older": Backend("cuda-older", _OLDER_CUDA, "torch-cu126-windows.txt", 0, 0, "cu126", "cuda"),
    },
    "darwin": {"mps": Backend("mps", "Apple's processor and graphics (Metal)", PLAIN_LOCK, 90, 350, device="mps")},
}
"""By `sys.platform`; the first of a system is what everybody can use there."""
NAMES = tuple(dict.fromkeys(name for there in BACKENDS.values() for name in there))
"""All names of backends."""


@dataclass(frozen=True)
class Choice:
    """A backend, one sentence that says why, and whether it was the computer's choice instead of the user's."""

    backend: Backend
    reason: str
    automatic: bool = True


@dataclass(frozen=True)
class Card:
    """The best NVIDIA card: compute capability, and the newest CUDA that the driver knows (13010 is 13.1)."""

    capability: tuple[int, int]
    driver: int


def choose(
    name: str = "auto",
    system: str = sys.platform,
    machine: str = platform.machine(),
    card: Card | None = None,
    amd: bool = False,
) -> Choice:
    """The backend of that name, or with "auto" the one that suits the computer.

    Args:
        name: "auto", or a key of `BACKENDS[system]`.
        system: `sys.platform`.
        machine: `platform.machine()`.
        card: what `find_card` found.
        amd: what `has_amd_card` says.

    Raises:
        InstallError: torch has no such build for this system.
    """
    there = offered(system, machine)
    first = next(iter(there.values()))
    if name != "auto":
        if name not in there:
            known = " or ".join(there)
            raise InstallError(f"There is no build of torch for '{name}' on this system.", f"Choose auto, {known}.")
        return Choice(there[name], f"Torch for {there[name].title}, as you chose.", automatic=False)
    if card is None or "cuda" not in there:
        if amd and "rocm" in there:
            return Choice(first, f"Torch for {first.title}; to compute on the AMD card of this computer, choose rocm.")
        also = ": there is no NVIDIA card that its driver tells of" if "cuda" in there else ", as on every Mac"
        return Choice(first, f"Torch for {first.title}{also}.")
    if card.capability < _OLDEST_CARD_EVER:
        major, minor = card.capability
        return Choice(first, f"Torch for {first.title}: this NVIDIA card (capability {major}.{minor}) is too old.")
    if card.capability >= _OLDEST_CARD and card.driver >= _OLDEST_DRIVER:
        return Choice(there["cuda"], f"Torch for {there['cuda'].title}, which this computer has.")
    if card.driver >= _OLDEST_DRIVER_EVER:
        older = there["cuda-older"]
        what = "card is" if card.capability < _OLDEST_CARD else "driver is"
        return Choice(older, f"Torch for {older.title}: the {what} too old for CUDA 13.")
    return Choice(first, f"Torch for {first.title}: the NVIDIA driver is too old; update it first.")


def offered(system: str = sys.platform, machine: str = platform.machine()) -> dict[str, Backend]:
    """The builds for a system by name, the one for everybody first; raises InstallError where there is none."""
    there = BACKENDS.get(system)
    if there is None or (system == "darwin" and machine != "arm64"):
        what = "Macs with an Intel processor" if system == "darwin" else "this operating system"
        raise InstallError(f"There is no current torch for {what}.", "Use Linux, Windows, or a Mac with Apple silicon.")
    return there


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


def has_amd_card(nodes: Path = _AMD_NODES) -> bool:
    """Whether Linux' driver for computing on AMD cards knows one."""
    try:
        return any(int(node.read_text()) for node in nodes.glob("*/gpu_id"))
    except (OSError, ValueError):
        return False


def _capability(driver: ctypes.CDLL, index: int) -> tuple[int, int]:
    values = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, index)
        values.append(value.value)
    return values[0], values[1]
