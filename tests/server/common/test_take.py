"""Take files: what is written is what is read, and damaged ones are refused in a sentence."""

import json
import resource
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vp3d.common import take as takes

VIEW = {
    "path": "b.mp4", "width": 640, "height": 480, "rotation": 0, "fps": 25.0, "offset_s": 0.04,
    "K": np.eye(3).tolist(), "R": np.eye(3).tolist(), "t": [0, 0, 1], "distortion": [0] * 5,
}  # fmt: skip


def make_take(people: int = 2, frames: int = 7, cameras: int = 1) -> takes.Take:
    rng = np.random.default_rng(4)
    joints = rng.normal(size=(people, frames, 17, 3))
    joints[:1, 2] = np.nan
    return takes.Take(
        frames=np.arange(frames) * 2,
        fps=Fraction(30000, 1001),
        person_ids=np.arange(people) + 1,
        joints2d=rng.normal(size=(people, frames, 21, 2)),
        confidence=rng.random((people, frames, 21)),
        source=np.full((people, frames, 21), takes.Source.MEASURED),
        joints3d=joints,
        contacts=rng.random((people, frames, 2)),
        camera_K=np.tile(np.diag([900.0, 900, 1]), (cameras, 1, 1)),
        camera_R=np.tile(np.eye(3), (cameras, 1, 1)),
        camera_t=np.zeros((cameras, 3)),
        distortion=np.zeros(5),
        residual_px=rng.random((people, frames, 17)),
        video={"name": "Tänzerin 1.mp4", "width": 640, "height": 480},
        report={"warnings": ["a <b>"]},
    )


@pytest.mark.parametrize("cameras", [1, 7])
def test_round_trip(tmp_path: Path, cameras: int) -> None:
    take = make_take(cameras=cameras)
    takes.save(take, tmp_path / "ü" / "a b.vp3d")
    read = takes.load(tmp_path / "ü" / "a b.vp3d")
    for name in takes._ARRAYS:
        np.testing.assert_array_equal(getattr(read, name), getattr(take, name))
    assert (read.fps, read.video, read.settings, read.report) == (take.fps, take.video, {}, take.report)
    assert read.present(0).tolist() == [True, True, False, True, True, True, True]


def test_a_take_without_people_is_a_take(tmp_path: Path) -> None:
    takes.save(make_take(people=0), tmp_path / "empty.vp3d")
    assert takes.load(tmp_path / "empty.vp3d").joints3d.shape == (0, 7, 17, 3)


def test_contradicting_shapes_are_refused() -> None:
    with pytest.raises(takes.TakeError, match=r"'person_ids'|'joints2d'"):
        take = make_take()
        takes.Take(**{**take.__dict__, "person_ids": np.arange(5)})
    with pytest.raises(takes.TakeError, match="3 cameras for 7 frames"):
        make_take(cameras=3)


def test_a_failed_write_leaves_the_old_take(tmp_path: Path) -> None:
    path = tmp_path / "take.vp3d"
    takes.save(make_take(), path)
    before = path.read_bytes()
    broken = make_take()
    broken.report = {"bad": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        takes.save(broken, path)
    assert path.read_bytes() == before


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "take.vp3d"
    takes.save(make_take(), path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), hard))  # as on a full disk, the write itself fails
    try:
        with pytest.raises(takes.TakeError, match="cannot be written"):
            takes.save(make_take(frames=3000), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _rewrite(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = data
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def test_a_newer_version_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "take.vp3d"
    takes.save(make_take(), path)
    _rewrite(path, "take.json", json.dumps({"format": "vp3d-take", "version": 99}).encode())
    with pytest.raises(takes.TakeError, match=r"version 99.*update"):
        takes.load(path)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "take.vp3d"
    takes.save(make_take(), path)
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([print] * 7, dtype=object), allow_pickle=True)
    _rewrite(path, "frames.npy", evil.read_bytes())
    with pytest.raises(takes.TakeError, match="damaged"):
        takes.load(path)


def _change_header(path: Path, change: Callable[[dict], object]) -> None:
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("take.json"))
    change(header)
    _rewrite(path, "take.json", json.dumps(header).encode())


def test_a_declared_size_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "take.vp3d"
    takes.save(make_take(), path)
    _change_header(path, lambda header: header["arrays"].update(residual_px=[2, 7, 18]))
    with pytest.raises(takes.TakeError, match="does not fit"):
        takes.load(path)
    takes.save(make_take(), path)
    _change_header(path, lambda header: [shape.__setitem__(0, 10**9) for shape in header["arrays"].values()])
    with pytest.raises(takes.TakeError, match=r"size it declares|does not fit"):
        takes.load(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A file of a few MB whose arrays, all zero, would fill more memory than captures need."""
    frames, path = 12_000_000, tmp_path / "bomb.vp3d"
    takes.save(make_take(people=1), path)
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("take.json"))
        for name, (dtype, shape) in takes._ARRAYS.items():
            header["arrays"][name] = [{"P": 1, "T": frames, "C": 1}.get(size, size) for size in shape]
            size = np.prod(header["arrays"][name]) * np.dtype(dtype).itemsize
            archive.getinfo(f"{name}.npy").file_size = int(size) + 128
        with pytest.raises(takes.TakeError, match="GB of memory"):
            takes._check_declared(archive, header["arrays"])


def test_other_views_are_read(tmp_path: Path) -> None:
    take = make_take()
    take.report = {"views": [VIEW]}
    takes.save(take, tmp_path / "take.vp3d")
    assert takes.load(tmp_path / "take.vp3d").report["views"] == [VIEW]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    takes.save(make_take(), tmp_path / "take.vp3d")
    with zipfile.ZipFile(tmp_path / "take.vp3d") as archive, zipfile.ZipFile(tmp_path / "b.vp3d", "w", method) as other:
        for member in archive.namelist():
            other.writestr(member, archive.read(member))
    with pytest.raises(takes.TakeError, match="damaged"):
        takes.load(tmp_path / "b.vp3d")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"fps": [0, 1]}, "frame rate"),
        ({"fps": [-25, 1]}, "frame rate"),
        ({"fps": [10**9, 1]}, "frame rate"),
        ({"video": {"width": "wide"}}, "video"),
        ({"video": {"every": 0}}, "video"),
        ({"video": {"name": None, "width": 640, "height": 480}}, "video"),
        ({"video": {"path": ["a"]}}, "video"),
        ({"report": {"warnings": "many"}}, "report"),
        ({"video": {"name": "a.mp4"}}, "video"),
        ({"video": {"width": 640, "height": True}}, "video"),
        ({"report": {"views": [{}]}}, "views"),
        ({"report": {"views": [{**VIEW, "K": [[1, 2], [3]]}]}}, "views"),
        ({"report": {"views": [{**VIEW, "fps": 0}]}}, "views"),
        ({"settings": {"sensor_mm": "wide"}}, "asked for"),
        ({"report": {"lens": 3}}, "report"),
    ],
)
def test_descriptions_that_readers_would_stumble_over_are_refused(tmp_path: Path, change: dict, what: str) -> None:
    path = tmp_path / "take.vp3d"
    takes.save(make_take(), path)
    _change_header(path, lambda header: header.update(change))
    with pytest.raises(takes.TakeError, match=rf"take\.vp3d is damaged: .*{what}"):
        takes.load(path)


@pytest.mark.parametrize(
    ("name", "index", "value"),
    [
        ("frames", 3, 0), ("frames", 0, -1), ("person_ids", 1, 1), ("camera_K", (0, 0, 0), -5), ("camera_R", 0, np.nan),
        ("joints3d", 0, np.inf),
    ],
)  # fmt: skip
def test_numbers_that_readers_would_stumble_over_are_refused(tmp_path: Path, name: str, index, value) -> None:
    take = make_take()
    getattr(take, name)[index] = value
    takes.save(take, tmp_path / "take.vp3d")
    with pytest.raises(takes.TakeError, match="cannot be right"):
        takes.load(tmp_path / "take.vp3d")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_files_are_refused_in_a_sentence(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = folder / "whole.vp3d"
    if not path.exists():
        takes.save(make_take(people=1, frames=3), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = folder / "damaged.vp3d"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        takes.load(damaged)
    except takes.TakeError as error:
        assert str(error).endswith((".", ")."))


def test_what_is_no_take_is_named(tmp_path: Path) -> None:
    with pytest.raises(takes.TakeError, match="no take at"):
        takes.load(tmp_path / "missing.vp3d")
    (tmp_path / "text.vp3d").write_text("hello")
    with pytest.raises(takes.TakeError, match=r"text\.vp3d is not a take"):
        takes.load(tmp_path / "text.vp3d")
