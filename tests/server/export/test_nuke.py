"""The camera as Nuke reads it: parsed back, joints fall on the pixels that the take's own camera gives."""

import re

import cv2
import numpy as np
import pytest
from takes import walker
from vp3d import export
from vp3d.cameras import Camera
from vp3d.common.take import Take
from vp3d.export import nuke

SHOTS = {
    "landscape": ((1280, 720), (1100, 1100, 639.5, 359.5)),
    "portrait, off centre": ((1080, 1920), (1662.8, 1662.8, 543.3, 951.4)),
    "wide pixels": ((1280, 720), (1000, 1300, 650, 330)),
    "high pixels, portrait": ((720, 1280), (1500, 1100, 350, 700)),
}


@pytest.fixture(params=SHOTS)
def shot(request):
    return request.param


def made(shot: str, moving: bool, every: int = 1) -> Take:
    size, (fx, fy, cx, cy) = SHOTS[shot]
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    return walker(frames=24, size=size, K=K, moving_camera=moving, every=every)


def wanted(take: Take) -> np.ndarray:
    camera = Camera(take.camera_K, take.camera_R, take.camera_t, np.zeros(5))
    return camera.project(take.joints3d[0].astype(float))


def rotation(degrees: np.ndarray) -> np.ndarray:
    """Nuke's order ZXY, by OpenCV's Rodrigues formula: Z first, so it stands nearest to the point."""
    x, y, z = (cv2.Rodrigues(np.radians(angle) * axis)[0] for angle, axis in zip(degrees, np.eye(3), strict=True))
    return y @ x @ z


def snap3d(take, frame, translate, rotate, focal, aperture, win=(0.0, 0.0)):
    """Pixels (J, 2), y down, of a frame's joints: nukescripts.snap3d.cameraProjectionMatrix, written out, with the
    window's knobs after the projection; pixel aspect as a format has it, a pixel's width by its height.
    """
    width, height = take.video["width"], take.video["height"]
    aspect = float(take.camera_K[0, 1, 1] / take.camera_K[0, 0, 0])
    x, y, z = take.joints3d[0, frame].astype(float).T
    local = (np.stack([x, z, -y], -1) - translate) @ rotation(rotate)
    plane = 2 * focal / aperture * local[:, :2] / -local[:, 2:] - win
    u = (plane[:, 0] + 1) * width / 2
    v = (plane[:, 1] + height / width / aspect) * width / 2 * aspect
    return np.stack([u, height - v], -1) - 0.5


def knobs(text: str) -> dict[str, list]:
    """The numbers of a node's knobs: for each component a constant, or {frame: value}."""
    found = {}
    for knob, value in re.findall(r"^ (\w+) (.+)$", text, re.MULTILINE):
        curves = re.findall(r"\{curve ([^}]*)\}", value)
        if curves:
            pairs = [re.findall(r"x(-?\d+) (\S+)", curve) for curve in curves]
            found[knob] = [{int(frame): float(v) for frame, v in pair} for pair in pairs]
        elif re.fullmatch(r"[{}\d.e+\- ]+", value):
            found[knob] = [float(number) for number in value.strip("{}").split()]
    return found


def at(knob: list, frame: int) -> np.ndarray:
    return np.array([part[frame] if isinstance(part, dict) else part for part in knob])


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_nk_puts_joints_on_their_pixels(shot, moving, tmp_path):
    take = made(shot, moving, every=2)
    (path,) = export.write(take, tmp_path / "a.nk", "nk", first_frame=1001)
    text = path.read_text("utf-8")
    assert text.count("{") == text.count("}") and text.startswith("Camera2 {") and " rot_order ZXY\n" in text
    found = knobs(text)
    assert isinstance(found["translate"][0], dict) == moving
    if moving:
        assert list(found["focal"][0]) == (1001 + take.frames).tolist()
    for i, frame in enumerate(take.frames):
        values = {
            name: at(found[name], 1001 + int(frame)) for name in ("translate", "rotate", "focal", "win_translate")
        }
        pixels = snap3d(
            take, i, values["translate"], values["rotate"], values["focal"], at(found["haperture"], 0),
            values["win_translate"],
        )  # fmt: skip
        assert np.abs(pixels - wanted(take)[i]).max() < 1e-3


def test_sensor_back_is_the_sensors_and_the_plates_shape(shot, tmp_path):
    take = made(shot, False)
    for sensor, settings in ((36.0, {}), (23.5, {"focal_mm": 24.0, "sensor_mm": 23.5})):
        take.settings = settings
        camera = nuke.camera_of(take)
        width, height = take.video["width"] * camera.pixel_aspect, take.video["height"]
        assert max(camera.aperture) == pytest.approx(sensor)
        assert camera.aperture[0] / camera.aperture[1] == pytest.approx(width / height)
        found = knobs(export.write(take, tmp_path / "a.nk", "nk")[0].read_text("utf-8"))
        assert (found["haperture"][0], found["vaperture"][0]) == pytest.approx(camera.aperture, rel=1e-9)


@pytest.mark.parametrize("moving", [False, True], ids=["static", "moving"])
def test_chan_puts_joints_on_their_pixels(moving, tmp_path):
    take = made("landscape", moving)
    take.settings = {"sensor_mm": 23.5}
    (path,) = export.write(take, tmp_path / "a.chan", "chan", first_frame=101)
    rows = np.loadtxt(path)
    np.testing.assert_array_equal(rows[:, 0], 101 + take.frames)
    for i, (_, *row) in enumerate(rows):
        focal = 720 / 2 / np.tan(np.radians(row[6]) / 2)  # px, from the vertical angle
        pixels = snap3d(take, i, row[:3], row[3:6], focal, 1280.0)
        assert np.abs(pixels - wanted(take)[i]).max() < 1e-3


def test_what_chan_cannot_hold_is_said(tmp_path, caplog):
    take = made("portrait, off centre", False)
    take.distortion = np.array([-0.1, 0, 0, 0, 0])
    export.write(take, tmp_path / "a.chan", "chan")
    assert "no lens shift" in caplog.text and "8.1 px" in caplog.text and "undistorted plate" in caplog.text


def test_angles_never_jump(tmp_path):
    """A camera that turns twice round, tilted, with a roll."""
    take = walker(frames=120, moving_camera=True)
    turn = np.linspace(0, 4 * np.pi, 120)
    base = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # looks along +Y of the world
    steps = [cv2.Rodrigues(np.array([0.4, 0, 0.2]))[0] @ base @ cv2.Rodrigues(np.array([0, 0, a]))[0] for a in turn]
    take.camera_R = np.array(steps)
    rotate = nuke.camera_of(take).rotate
    assert np.abs(np.diff(rotate, axis=0)).max() < 10
    assert np.ptp(rotate, axis=0).max() == pytest.approx(720, abs=1)
    for angles, R in zip(rotate, take.camera_R, strict=True):
        np.testing.assert_allclose(rotation(angles), nuke.AXES @ R.T @ np.diag([1, -1, -1]), atol=1e-9)


def test_names_cannot_break_out_of_the_label(tmp_path):
    """Nuke reads the file, and the label once more when it draws it, as Tcl, which runs what stands in brackets."""
    take = made("landscape", False)
    take.video["name"] = 'Tänzerin (1), "b" [exec rm] {$c}\\" \n }.mp4'
    text = export.write(take, tmp_path / "a.nk", "nk")[0].read_text("utf-8")
    label = next(line for line in text.splitlines() if line.startswith(" label"))
    assert "Tänzerin (1), _b_ _exec rm_ __c__" in label
    assert not set(label[len(' label "') : -1].replace("\\n", "")) & set('"[]{}$\\')
    assert text.count("\n") == 14
