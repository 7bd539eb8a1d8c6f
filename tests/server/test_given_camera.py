"""Cameras from files: what the solver is told of them, and people brought back into their world."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from takes import walker
from vp3d import export, given_camera
from vp3d.cameras import Camera
from vp3d.errors import UserError
from vp3d.given_camera import GivenCamera
from vp3d.refine import Solution

CONTACTS = walker(frames=30).contacts


def given(moving: bool, metres: bool = True) -> tuple[GivenCamera, np.ndarray]:
    """A camera and the joints (T, 17, 3) m that it sees."""
    take = walker(frames=30, moving_camera=moving)
    camera = Camera(take.camera_K, take.camera_R, take.camera_t, np.zeros(5))
    return GivenCamera("Shot", (1280, 720), take.frames[: len(camera.K)], camera, metres), take.joints3d[0]


def test_motion_is_relative_to_the_first_frame():
    camera, joints = given(moving=True)
    motion = camera.motion(np.arange(30))
    assert motion.kind == "free" and motion.moves
    first = camera.camera
    K = np.tile(first.K[0], (30, 1, 1))
    K[:, [0, 1], [0, 1]] *= motion.zoom[:, None]
    rotation = motion.rotation @ first.R[0]
    centre = first.position[0] + motion.position @ first.R[0]
    again = Camera(K, rotation, -np.einsum("tij,tj->ti", rotation, centre), np.zeros(5))
    np.testing.assert_allclose(again.project(joints), first.project(joints), atol=1e-9)


@pytest.mark.parametrize(("travels", "turns", "kind"), [(0, 0, "static"), (0, 1, "tripod"), (1, 0, "free")])
def test_kind_of_motion(travels, turns, kind):
    angle = np.linspace(0, 0.3, 10) * turns
    R = Rotation.from_rotvec(angle[:, None] * [0, 1, 0]).as_matrix()
    centre = np.stack([np.linspace(0, 1, 10) * travels + 3, np.zeros(10) + 2, np.ones(10)], -1)
    camera = Camera(np.tile(np.diag([900.0, 900, 1]), (10, 1, 1)), R, -np.einsum("tij,tj->ti", R, centre), np.zeros(5))
    motion = GivenCamera("a", (640, 360), np.arange(10), camera, True).motion(np.arange(10))
    assert motion.kind == kind and motion.moves == (kind != "static")
    assert (motion.zoom == 1).all()


def test_frames_and_size_of_the_video():
    camera, joints = given(moving=True)
    part = camera.at(np.arange(4, 20, 2), 640, 360)
    assert part.frames.tolist() == list(range(4, 20, 2))
    small = (camera.camera.project(joints)[4:20:2] + 0.5) / 2 - 0.5
    np.testing.assert_allclose(part.camera.project(joints[4:20:2]), small, atol=1e-9)
    with pytest.raises(UserError, match=r"no frame 31 of the video, nor 4 others.*from frame 1 to 30"):
        camera.at(np.arange(10, 35), 1280, 720)
    with pytest.raises(UserError, match="1280 × 720 px, the clip has 720 × 1280"):
        camera.at(np.arange(10), 720, 1280)
    still, _ = given(moving=False)
    assert len(still.at(np.arange(500), 1280, 720).camera.K) == 1


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_people_come_into_the_cameras_world(moving):
    """Whatever world and unit the people were solved in, where the camera is tells where they are."""
    camera, joints = given(moving)
    size, A = 1.25, Rotation.from_rotvec([0, 0, 0.7]).as_matrix()
    offset = np.array([3.0, -2, 0])
    solved = size * joints @ A.T + offset
    R = camera.camera.R @ A.T
    centre = size * camera.camera.position @ A.T + offset
    solution = Solution(
        Camera(camera.camera.K, R, -np.einsum("cij,cj->ci", R, centre), np.zeros(5)),
        solved[None], CONTACTS, np.zeros((1, 30, 17)), report(size * 1.8),
    )  # fmt: skip
    placed = camera.world(solution)
    np.testing.assert_allclose(placed.joints[0], joints, atol=1e-9)
    np.testing.assert_allclose(
        placed.camera.project(placed.joints), solution.camera.project(solution.joints), atol=1e-6
    )
    assert placed.report["people"][0]["stature_m"] == pytest.approx(1.8)
    assert placed.report["camera"]["height_m"] == pytest.approx(1.4)
    assert placed.report["camera"]["pitch_deg"] == pytest.approx(-6) and abs(placed.report["camera"]["roll_deg"]) < 1e-9
    without_metres = GivenCamera("Shot", camera.size, camera.frames, camera.camera, False)
    assert without_metres.world(solution) is solution


def report(stature: float) -> dict:
    return {"camera": {}, "people": [{"person": 1, "stature_m": stature, "contact_speed_m_s_median": None}]}


def test_feet_on_the_floor_put_the_depth_right():
    """People who were solved too far away, along the rays of a camera that travels."""
    camera, joints = given(moving=True)
    eye = camera.camera.position[:, None]
    far = eye + 1.08 * (joints - eye)
    solution = Solution(camera.camera, far[None], CONTACTS, np.zeros((1, 30, 17)), report(1.08 * 1.8))
    sizes = camera._sizes(far[None], 1.08 * joints[None][:, :, [6, 3], 2], CONTACTS)
    assert sizes == pytest.approx(1 / 1.08, rel=1e-6)
    placed = camera.world(solution, sized=True)
    np.testing.assert_allclose(placed.joints[0], far, atol=1e-9)
    assert placed.report["people"][0]["stature_m"] == pytest.approx(1.08 * 1.8)


def test_a_camera_far_over_the_floor_makes_no_giants():
    camera, joints = given(moving=False)
    solution = Solution(
        Camera(camera.camera.K, camera.camera.R, camera.camera.t * 0 + [0, 0.4, 3], np.zeros(5)),
        joints[None], CONTACTS, np.zeros((1, 30, 17)), report(1.8),
    )  # fmt: skip
    assert camera.world(solution).report["people"][0]["stature_m"] == 1.8


def test_a_take_as_json_is_a_camera(tmp_path):
    take = walker(frames=12, moving_camera=True, video="/ä/b.mp4")
    (path,) = export.write(take, tmp_path / "a.json", "json")
    camera = given_camera.read(path)
    assert camera.name == "b.mp4" and camera.metres and camera.size == (1280, 720)
    np.testing.assert_array_equal(camera.camera.R, take.camera_R)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.update(format="other"),
        lambda c: c.pop("camera"),
        lambda c: c["camera"].update(K=[[1, 2]]),
        lambda c: c["camera"].update(R=(2 * np.array(c["camera"]["R"])).tolist()),
        lambda c: c.update(frames=c["frames"][::-1]),
        lambda c: c["camera"].update(t=[[None] * 3] * len(c["frames"])),
    ],
)
def test_what_is_no_camera_is_said(tmp_path, spoil):
    (path,) = export.write(walker(frames=6, moving_camera=True), tmp_path / "a.json", "json")
    content = json.loads(path.read_text("utf-8"))
    spoil(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="is no camera"):
        given_camera.read(path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="no camera at"):
        given_camera.read(tmp_path / "gone.json")
    with pytest.raises(UserError, match="cannot be read"):
        given_camera.read(tmp_path)
