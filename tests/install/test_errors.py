"""What pip, venv and the loader print becomes one sentence."""

import sys
from pathlib import Path

import pytest

from install import libraries
from install.errors import explain
from install.libraries import PACKAGES

LOG = Path("install.log")


@pytest.mark.parametrize(
    ("output", "message", "hint"),
    [
        ("OSError: [Errno 28] No space left on device: 'libtorch_cpu.so'", "The disk is full.", "--prefix"),
        ("OSError: [Errno 27] File too large: 'libtorch_cpu.so'", "no file of this size", "another disk"),
        ("OSError: [Errno 36] File name too long: '/x'", "The path of the folder is too long.", "short path"),
        ("HINT: This error might ... Windows Long Path support enabled", "path of the folder is too long", "C:\\vp3d"),
        ("CERTIFICATE_VERIFY_FAILED: certificate has expired (_ssl.c:992)", "this computer's date and time", "clock"),
        ("PermissionError: [WinError 32] being used by another process: 'x'", "Another program has a file", "scanner"),
        ("PermissionError: [WinError 5] Access is denied: 'torch.dll'", "Another program has a file", "scanner"),
        ("CUDA error: no kernel image is available for execution", "does not run on the graphics card", "cuda-older"),
        ("Error: ... ensurepip is not available. On Debian ...", "This Python lacks its venv module.", "python3-venv"),
        ("/usr/bin/python3: No module named venv", "This Python lacks its venv module.", "python3-venv"),
        (
            "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')) - skipping\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "The package index shows a certificate that this Python does not trust.",
            "PIP_CERT",
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "The package index could not be reached.",
            "network",
        ),
        ("ProxyError('Cannot connect to proxy.', OSError('407'))", "The proxy refused", "HTTPS_PROXY"),
        ("ERROR: No matching distribution found for bpy==5.0.1", "The package index has no bpy==5.0.1", "Python"),
        ("OSError: [Errno 30] Read-only file system: '/x'", "The folder cannot be written to.", "--prefix"),
        (
            "ImportError: libXrender.so.1: cannot open shared object file: No such file",
            "The system library libXrender.so.1 is missing.",
            "apt-get install libxrender1",
        ),
        ("ImportError: libodd.so.3: cannot open shared object file", "libodd.so.3", "the package with libodd.so.3"),
    ],
)
def test_known_failures(output: str, message: str, hint: str) -> None:
    error = explain(output, 1, "Installing packages", LOG)
    assert message in error.message
    assert hint in error.hint
    assert error.log == LOG


def test_anything_else_names_the_step_and_the_log() -> None:
    error = explain("odd", 7, "Installing packages", LOG)
    assert error.message == "Installing packages failed with status 7."
    assert error.log == LOG
    assert "memory" in explain("", -9, "Installing packages", LOG).message


def test_every_known_library_has_a_package() -> None:
    for library in PACKAGES:
        error = explain(f"ImportError: {library}: cannot open shared object file", 1, "The self-test", LOG)
        assert error.hint.endswith(f"apt-get install {PACKAGES[library]}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bring Blender's libraries along")
def test_only_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "PACKAGES", {"libc.so.6": "libc6", "libnot-there.so.9": "libnot-there9"})
    assert libraries.missing() == ["libnot-there9"]
