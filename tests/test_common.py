"""The two copies of `common` are one."""

from pathlib import Path


def test_both_sides_hold_the_same_files(repository: Path) -> None:
    server, blender = repository / "server/vp3d/common", repository / "blender_vp3d/common"
    names = {path.name for folder in (server, blender) for path in folder.glob("*.py")}
    assert {"skeletons.py", "take.py", "protocol.py"} <= names
    for name in sorted(names):
        assert (server / name).read_bytes() == (blender / name).read_bytes(), (
            f"{name} differs: copy server/vp3d/common/{name} over blender_vp3d/common/{name}"
        )
