"""Shared libraries of Linux that Blender's Python module loads but does not bring, and the packages that hold them."""

import ctypes
import sys

# shared library: package of Debian and Ubuntu
PACKAGES = {
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libEGL_mesa.so.0": "libegl-mesa0",
    "libgomp.so.1": "libgomp1",
}


def missing() -> list[str]:
    """Names of the Debian packages whose libraries this system lacks; empty on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        return []
    return sorted(package for library, package in PACKAGES.items() if not _loads(library))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
