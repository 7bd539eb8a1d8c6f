import json
from dataclasses import replace

import numpy as np
import pytest
from takes import walker
from vp3d.calibration import CalibratedCamera
from vp3d.cameras import Camera
from vp3d.common import take as takes
from vp3d.common.skeletons import H36M_FROM_COCO
from vp3d.errors import UserError
from vp3d.train.filmed import of_take, read_filmed

LIMBS = list(H36M_FROM_COCO)
COCO = [H36M_FROM_COCO[joint] for joint in LIMBS]
BENT = np.array([-0.2, 0.05, 0.001, -0.002, 0.0])


def rays_of(take, person):
    """Where the limbs really are, at depth 1."""
    seen = take.joints3d[person][:, LIMBS] @ take.camera_R.swapaxes(-1, -2) + take.camera_t[:, None]
    return seen[..., :2] / seen[..., 2:]


def bent(take):
    camera = Camera(take.camera_K, take.camera_R, take.camera_t, BENT)
    joints = take.joints2d.copy()
    joints[:, :, COCO] = camera.project(take.joints3d)[:, :, LIMBS]
    return replace(take, joints2d=joints, distortion=BENT)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("distorted", [False, True])
def test_everybody_in_a_take_as_rays(moving, distorted):
    take = walker(frames=12, people=2, every=2, moving_camera=moving)
    films = of_take(bent(take) if distorted else take, "a.vp3d")
    assert len(films) == 2
    for person, film in enumerate(films):
        assert film.rays[:, COCO] == pytest.approx(rays_of(take, person), abs=2e-4)
        assert film.fps == 12.5
        assert (film.confidence[:, COCO] > 0).all()
        assert np.isnan(film.rays[:, 1]).all()


def test_folders_hold_takes_and_key_points(tmp_path):
    take = walker(frames=12)
    (tmp_path / "inner").mkdir()
    takes.save(take, tmp_path / "inner" / "a.vp3d")
    keypoints = bent(take).joints2d[0, :, :17]
    symmetry = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
    np.savez(
        tmp_path / "b.npz", positions_2d={"b.mp4": {"custom": [keypoints]}}, metadata={"keypoints_symmetry": symmetry}
    )
    (tmp_path / "notes.txt").write_text("nothing")
    camera = CalibratedCamera("b", None, take.camera_K[0], BENT)
    from_keypoints, from_take = sorted(read_filmed([tmp_path], [camera]), key=lambda film: "vp3d" in film.name)
    assert from_take.rays[:, COCO] == pytest.approx(rays_of(take, 0), abs=1e-4)
    assert from_keypoints.rays[:, COCO] == pytest.approx(rays_of(take, 0), abs=2e-4)
    assert (from_keypoints.confidence[:, 1] == 0).all()
    with pytest.raises(UserError, match="lens"):
        read_filmed([tmp_path])


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        read_filmed([tmp_path / "nowhere"])
    (tmp_path / "a.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="2D joints"):
        read_filmed([tmp_path])
