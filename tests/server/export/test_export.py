import csv
import gc
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from takes import walker
from vp3d import export
from vp3d.common.skeletons import BODY_21, H36M_17
from vp3d.common.take import Take
from vp3d.errors import UserError


@pytest.fixture(params=[False, True], ids=["static", "moving"])
def take(request) -> Take:
    take = walker(
        frames=20, fps=Fraction(30000, 1001), people=2, moving_camera=request.param, every=2, video="/ä/b.mp4"
    )
    take.joints2d[1, 3:5] = np.nan
    take.confidence[1, 3:5] = 0
    take.joints3d[1, :4] = np.nan
    take.residual_px[0, :, 3] = np.nan
    take.report = {"warnings": ["“quoted”, <b>"]}
    return take


def test_npz_round_trip(take, tmp_path):
    (path,) = export.write(take, tmp_path / "new folder" / "a.npz", "npz")
    with np.load(path, allow_pickle=False) as data:
        cameras, people, frames = len(take.camera_K), 2, 20
        assert {name: data[name].shape for name in data} == {
            "frames": (frames,), "fps": (), "person_ids": (people,), "joints2d": (people, frames, 17, 2),
            "confidence": (people, frames, 17), "joints3d": (people, frames, 17, 3), "contacts": (people, frames, 2),
            "camera_K": (cameras, 3, 3), "camera_R": (cameras, 3, 3), "camera_t": (cameras, 3), "distortion": (5,),
            "residual_px": (people, frames, 17),
        }  # fmt: skip
        assert data["fps"] == pytest.approx(29.97003)
        np.testing.assert_array_equal(data["joints2d"], take.joints2d[:, :, :17])
        for name in ("frames", "person_ids", "joints3d", "contacts", "camera_K", "camera_R", "camera_t", "residual_px"):
            np.testing.assert_array_equal(data[name], getattr(take, name))


def test_json_round_trip(take, tmp_path):
    (path,) = export.write(take, tmp_path / "a.json", "json")
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)  # NaN is not JSON
    assert data["frames"] == take.frames.tolist() and data["video"]["path"] == "/ä/b.mp4"
    assert data["report"] == take.report
    for p, person in enumerate(data["people"]):
        assert person["id"] == p + 1
        for name, digits in (("joints2d", 2), ("confidence", 3), ("joints3d", 4), ("contacts", 3), ("residual_px", 2)):
            values = np.array(person[name], float)  # None becomes NaN
            np.testing.assert_allclose(values, getattr(take, name)[p], atol=0.51 * 10.0**-digits)
        assert (np.array(person["source"]) == take.source[p]).all()
    np.testing.assert_array_equal(data["camera"]["R"], take.camera_R)
    assert len(data["joints2d_names"]) == 21 and data["joints3d_names"] == list(H36M_17.joints)


def test_csv_round_trip(take, tmp_path):
    (path,) = export.write(take, tmp_path / "a.csv", "csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    number = {"": np.nan}
    for i, row in enumerate(rows):
        p, t = divmod(i, 20)
        assert (int(row["person"]), int(row["frame"])) == (p + 1, take.frames[t])
        assert float(row["time_s"]) == pytest.approx(take.frames[t] * 1001 / 30000, abs=1e-6)
        world = [[float(number.get(row[f"{j}_{a}_m"], row[f"{j}_{a}_m"])) for a in "xyz"] for j in H36M_17.joints]
        np.testing.assert_allclose(world, take.joints3d[p, t], atol=1e-4)
        image = [[float(number.get(row[f"{j}_{a}_px"], row[f"{j}_{a}_px"])) for a in "uv"] for j in BODY_21.joints]
        np.testing.assert_allclose(image, take.joints2d[p, t], atol=1e-3)
        assert float(row["left_ankle_confidence"]) == pytest.approx(take.confidence[p, t, 15], abs=1e-3)


def test_bvh_is_one_file_per_person(take, tmp_path):
    written = export.write(take, tmp_path / "a.bvh", "bvh")
    assert [path.name for path in written] == ["a-1.bvh", "a-2.bvh"]
    assert all(path.read_text().startswith("HIERARCHY") for path in written)
    take.joints3d[0] = np.nan
    assert [path.name for path in export.write(take, tmp_path / "b.bvh", "bvh")] == ["b.bvh"]
    take.joints3d[:] = np.nan
    with pytest.raises(UserError, match="Nobody"):
        export.write(take, tmp_path / "c.bvh", "bvh")


def test_what_cannot_be_written(take, tmp_path):
    with pytest.raises(UserError, match=r"“fbx”.*json, csv, npz, bvh"):
        export.write(take, tmp_path / "a.fbx", "fbx")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        export.write(take, tmp_path / "file" / "a.json", "json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.filterwarnings("error")  # nor may anything half open complain afterwards
@pytest.mark.parametrize("format", ["json", "csv", "npz"])
def test_full_disk_keeps_the_old_file(take, tmp_path, format):
    path = tmp_path / f"a.{format}"
    path.write_text("old")
    (tmp_path / f"a.{format}.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left"):
        export.write(take, path, format)
    gc.collect()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
