"""Names that no file can have, and results that appear whole or not at all."""

from pathlib import Path

import pytest
from vp3d.errors import UserError
from vp3d.files import check_name, check_output, written_whole


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.mp4", "\ud800.mp4"])
def test_impossible_names_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    for check in (check_name, check_output):
        with pytest.raises(UserError) as caught:
            check(tmp_path / name)
        assert caught.value.message.endswith(".") and len(caught.value.message) < 300
        assert caught.value.message.encode()


def test_names_of_files_that_are_not_there_are_fine(tmp_path: Path) -> None:
    check_name(tmp_path / "ü ä" / "missing [1].mp4")
    check_name(tmp_path)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
