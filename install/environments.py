"""The table of environments: which Python, which packages, how large. A new Blender is a new row."""

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
"""The checkout, or the add-on's folder in the extension zip: `install` and `server` lie side by side in both."""

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"


@dataclass(frozen=True)
class Environment:
    """One virtual environment.

    Attributes:
        name: its folder in the home folder and its entry in `install.json`.
        purpose: what it is for, to show to the user.
        pythons: versions of Python that its packages exist for, the best first.
        steps: arguments of the pip runs that fill it, one after another; files lie in `requirements`.
        test_requirements: the file with what its tests need.
        modules: imported as the self-test, after which it counts as ready.
        download_mb: size of its packages as downloaded, and `disk_mb` as installed, measured on Linux x86-64
            and without torch; `test_download_mb` is what its tests need on top.
        tests: paths of the tests that run in it, relative to the repository.
        torch: whether a build of torch comes with it, see `backends`.
        weights: models to fetch into the home folder, as `vp3d models` calls them; it works without them.
        weights_mb: their size.
    """

    name: str
    purpose: str
    pythons: tuple[tuple[int, int], ...]
    steps: tuple[tuple[str, ...], ...]
    test_requirements: str
    modules: tuple[str, ...]
    download_mb: int
    disk_mb: int
    test_download_mb: int
    tests: tuple[str, ...]
    torch: bool = False
    weights: tuple[str, ...] = ()
    weights_mb: int = 0

    @property
    def requirement_files(self) -> tuple[Path, ...]:
        """The files that `steps` name."""
        return tuple(REQUIREMENTS / word for step in self.steps for word in step if word.endswith(".txt"))


SERVER = Environment(
    name="server",
    purpose="the pose server",
    pythons=((3, 11), (3, 12), (3, 10), (3, 13)),
    steps=(("--no-deps", "--require-hashes", "-r", "server.txt"),),
    torch=True,
    test_requirements="server-test.txt",
    modules=("torch", "openvino", "av", "cv2", "scipy", "safetensors", "typer", "platformdirs", "vp3d"),
    download_mb=252,
    disk_mb=1000,
    test_download_mb=13,
    tests=("tests/server", "tests/install", "tests/faults", "tests/test_common.py"),
    weights=("human-pose-estimation-0001",),
    weights_mb=8,
)


def _blender(version: str, python: tuple[int, int], download_mb: int, disk_mb: int) -> Environment:
    return Environment(
        name=f"blender-{version}",
        purpose=f"Blender {version} as a Python module",
        pythons=(python,),
        steps=(("-r", f"blender-{version}.txt"),),
        test_requirements="blender-test.txt",
        modules=("bpy",),
        download_mb=download_mb,
        disk_mb=disk_mb,
        test_download_mb=2,
        tests=("tests/blender_vp3d",),
    )


BLENDERS = {
    environment.name.removeprefix("blender-"): environment
    for environment in (
        _blender("4.2", (3, 11), 377, 1010),
        _blender("4.5", (3, 11), 401, 960),
        _blender("5.0", (3, 11), 402, 1000),
        _blender("5.1", (3, 13), 417, 1000),
        _blender("5.2", (3, 13), 429, 1040),
    )
}
DEMO_BLENDER = BLENDERS["5.0"]
TESTED = (SERVER, *(BLENDERS[version] for version in ("4.2", "4.5", "5.0", "5.2")))
ALL = {environment.name: environment for environment in (SERVER, *BLENDERS.values())}
