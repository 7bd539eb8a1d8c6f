"""Durations are told by a clock that nobody sets; see `test_surroundings` for one that jumps."""

import re
from pathlib import Path


def test_nothing_is_timed_by_the_clock_on_the_wall(repository: Path) -> None:
    for folder in ("blender_vp3d", "server/vp3d"):
        for path in (repository / folder).rglob("*.py"):
            assert not re.search(r"\btime\.time\(|\bdatetime\.now\(", path.read_text("utf-8")), path
