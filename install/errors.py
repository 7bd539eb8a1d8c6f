"""What ends an installation early, and the table that turns a child's output into one sentence."""

import re
from pathlib import Path

from install.libraries import PACKAGES


class InstallError(Exception):
    """Something the user can put right.

    Attributes:
        message: one plain sentence saying what is wrong.
        hint: one plain sentence saying what to do, or empty.
        log: the file with everything that the failed step printed, where there is one.
    """

    def __init__(self, message: str, hint: str = "", log: Path | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.log = log


_ELSEWHERE = "(Data Folder in the add-on's preferences, or --prefix)"

# The first pattern that the output of pip, venv or the self-test matches decides; groups fill the braces.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left on device|\[Errno 28\]|not enough space on the disk|Disk quota exceeded",
        "The disk is full.",
        f"Free some space, or choose another folder {_ELSEWHERE}, and do the same again.",
    ),
    (
        r"File too large|\[Errno 27\]",
        "The disk takes no file of this size.",
        f"Choose a folder on another disk {_ELSEWHERE}: FAT and some quotas refuse large files.",
    ),
    (
        r"File name too long|\[Errno 36\]|WinError 206|Long Path support",
        "The path of the folder is too long.",
        f"Choose a folder with a short path {_ELSEWHERE}, such as C:\\vp3d.",
    ),
    (
        r"certificate has expired|certificate is not yet valid",
        "The package index shows a certificate that is not valid at this computer's date and time.",
        "Set the computer's clock, and do the same again; if it is right, name your company's certificates to pip.",
    ),
    (
        r"No module named '?(?:venv|ensurepip)|ensurepip is not available",
        "This Python lacks its venv module.",
        "On Debian and Ubuntu install the package python3-venv; elsewhere use a complete Python.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "The package index shows a certificate that this Python does not trust.",
        "Name your company's certificates with pip's setting `cert` (or PIP_CERT), and do the same again.",
    ),
    (
        r"ProxyError|Cannot connect to proxy|407 Proxy",
        "The proxy refused the connection to the package index.",
        "Set HTTPS_PROXY to your proxy's address with user and password, and do the same again.",
    ),
    (
        r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Read timed out|Max retries exceeded"
        r"|Connection refused|Network is unreachable|Temporary failure in name resolution|ConnectionResetError"
        r"|IncompleteRead|RemoteDisconnected|ProtocolError|\d{3} (?:Client|Server) Error",
        "The package index could not be reached.",
        "Check the network and pip's settings, and do the same again; what is downloaded is not lost.",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES|BadZipFile|is invalid: bad zip|has an invalid wheel",
        "A downloaded package is damaged.",
        "Empty pip's cache with `python3 -m pip cache purge`, and do the same again.",
    ),
    (
        r"No matching distribution found for (\S+)",
        "The package index has no {0} for this system and Python.",
        "Look at pip's settings for the index, or use another version of Python.",
    ),
    (
        r"WinError 32\b|WinError 5\b|os error 5\b|being used by another process|Device or resource busy",
        "Another program has a file of the pose server open, perhaps a virus scanner.",
        "Close other Blenders, let the scanner leave the folder alone, and do the same again.",
    ),
    (
        r"Permission denied|Read-only file system|Access is denied|\[Errno 13\]|\[Errno 30\]",
        "The folder cannot be written to.",
        f"Choose another folder {_ELSEWHERE}.",
    ),
    (
        r"no kernel image is available|not compiled with CUDA|CUDA driver version is insufficient"
        r"|Found no NVIDIA driver|no longer supports this GPU|HIP error|hipErrorNoBinaryForGpu|not built with MPS",
        "This build of torch does not run on the graphics card of this computer.",
        "Choose another build: cuda-older for an older card, or cpu, which runs everywhere.",
    ),
    (
        r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file",
        "The system library {0} is missing.",
        "On Debian and Ubuntu install it with: apt-get install {package}",
    ),
    (
        r"DLL load failed while importing (\w+)",
        "Windows cannot load the libraries of {0}.",
        "Install Microsoft's Visual C++ redistributable package, and do the same again.",
    ),
    (r"MemoryError|Cannot allocate memory", "There is not enough memory.", "Close other programs and try again."),
)


def explain(output: str, status: int, doing: str, log: Path) -> InstallError:
    """One sentence for a child that ended with `status`, from the table where its output is known.

    `doing` says what failed, as in "Installing packages".
    """
    if known := _from_table(output, log):
        return known
    if status in (-9, 137):
        return InstallError(
            f"{doing} was ended by the system, probably for want of memory.", "Close other programs and try again.", log
        )
    return InstallError(f"{doing} failed with status {status}.", "Do the same again, or read the log.", log)


def explain_os(error: OSError, folder: Path) -> InstallError:
    """One sentence for what the system refused in a folder."""
    reason = (error.strerror or type(error).__name__).lower()
    known = _from_table(str(error), None)
    hint = known.hint if known else f"Choose another folder {_ELSEWHERE}."
    return InstallError(f"The folder {folder} cannot be written to ({reason}).", hint)


def _from_table(output: str, log: Path | None) -> InstallError | None:
    for pattern, message, hint in _KNOWN:
        if found := re.search(pattern, output, re.IGNORECASE):
            groups = found.groups()
            package = PACKAGES.get(groups[0], f"the package with {groups[0]}") if groups else ""
            return InstallError(message.format(*groups), hint.format(*groups, package=package), log)
    return None
