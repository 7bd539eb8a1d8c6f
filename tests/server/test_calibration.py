"""Calibration files against the programs that write them: OpenCV itself, and the formats as others document them."""

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vp3d.calibration import CalibratedCamera, pick, read_calibration
from vp3d.errors import UserError

K = np.array([[1500.0, 0, 960.25], [0, 1502, 530.5], [0, 0, 1]])
DISTORTION = np.array([-0.3, 0.1, 0.001, -0.002, 0.05])
R = Rotation.from_euler("xyz", [95, 10, 20], degrees=True).as_matrix()
T = np.array([0.3, 1.1, 4.2])

ROS = f"""image_width: 1920
image_height: 1080
camera_name: left
camera_matrix:
  rows: 3
  cols: 3
  data: {K.ravel().tolist()}
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: {DISTORTION.tolist()}
"""


def pose2sim(**other) -> str:
    lines = {
        "name": '"cam_01"', "size": "[1920.0, 1080.0]", "matrix": K.tolist(), "distortions": DISTORTION[:4].tolist(),
        "rotation": Rotation.from_matrix(R).as_rotvec().tolist(), "translation": T.tolist(), "fisheye": "false",
    } | other  # fmt: skip
    return "[cam_01]\n" + "\n".join(f"{k} = {v}" for k, v in lines.items()) + "\n\n[metadata]\nadjusted = false\n"


def qualisys() -> str:
    """Positions in mm, axes from world to a camera that looks along -Z, px in 64ths, of a window at (16, 8)."""
    axes = np.diag([1, -1, -1]) @ R
    place = {f"r{i + 1}{j + 1}": axes[i, j] for i in range(3) for j in range(3)}
    place |= dict(zip("xyz", -R.T @ T * 1000, strict=True))
    lens = {
        "focalLengthU": K[0, 0] * 64, "focalLengthV": K[1, 1] * 64,
        "centerPointU": (K[0, 2] + 16) * 64, "centerPointV": (K[1, 2] + 8) * 64,
        "radialDistortion1": DISTORTION[0], "radialDistortion2": DISTORTION[1], "radialDistortion3": DISTORTION[4],
        "tangentalDistortion1": DISTORTION[2], "tangentalDistortion2": DISTORTION[3],
    }  # fmt: skip

    def written(values: dict) -> str:
        return " ".join(
            f'{key}="{value!r}"'.replace("np.float64(", "").replace(")", "") for key, value in values.items()
        )

    window = 'left="16" right="1935" top="8" bottom="1087"'
    return (
        f'<?xml version="1.0"?><calibration><cameras><camera serial="7"><fov_video {window}/>'
        f"<transform {written(place)}/><intrinsic {written(lens)}/></camera></cameras></calibration>"
    )


def own_json() -> str:
    camera = {"width": 1920, "height": 1080, "K": K.tolist(), "distortion": DISTORTION.tolist()}
    return json.dumps({"a": camera | {"R": R.tolist(), "t": T.tolist()}, "b": camera})


@pytest.mark.parametrize("extension", ["yml", "xml", "json"])
def test_opencv_reads_back_what_opencv_wrote(tmp_path, extension):
    path = tmp_path / f"lens.{extension}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in (("image_width", 1920), ("image_height", 1080), ("camera_matrix", K)):
        storage.write(name, value)
    storage.write("distortion_coefficients", DISTORTION[:, None])
    storage.release()
    (camera,) = read_calibration(path)
    assert camera.size == (1920, 1080)
    np.testing.assert_allclose(camera.K, K)
    np.testing.assert_allclose(camera.distortion, DISTORTION)
    assert camera.R is None


@pytest.mark.parametrize(
    ("text", "name", "posed", "coefficients"),
    [(ROS, "left", False, 5), (pose2sim(), "cam_01", True, 4), (qualisys(), "7", True, 5), (own_json(), "a", True, 5)],
)
def test_other_programs(tmp_path, text, name, posed, coefficients):
    path = tmp_path / "Kalibrierung für 2 Kameras.txt"
    path.write_text(text, encoding="utf-8")
    camera = read_calibration(path)[0]
    assert (camera.name, camera.size) == (name, (1920, 1080))
    np.testing.assert_allclose(camera.K, K, atol=1e-9)
    np.testing.assert_allclose(camera.distortion[:coefficients], DISTORTION[:coefficients])
    assert not camera.distortion[coefficients:].any()
    if posed:
        np.testing.assert_allclose(camera.R, R, atol=1e-9)
        np.testing.assert_allclose(camera.t, T, atol=1e-9)


def test_qualisys_and_json_of_one_session_agree(shared):
    clip = shared / "clips" / "pose2sim-single"
    measured, converted = read_calibration(clip / "Calib.qca.txt"), read_calibration(clip / "cameras.json")
    assert [camera.name for camera in measured] == ["cam01", "cam02", "cam03", "cam04"]
    for a, b in zip(measured, converted, strict=True):
        for part in ("K", "distortion", "R", "t"):
            np.testing.assert_allclose(getattr(a, part), getattr(b, part), atol=1e-6)
    cam01 = measured[0]
    assert cam01.size == (1088, 1920)
    np.testing.assert_array_equal(cam01.of_size(1080, 1920), cam01.K)


def test_resampled_pictures():
    """A point keeps its share of the picture's width when the picture is halved."""
    camera = CalibratedCamera("", (1920, 1080), K, DISTORTION)
    small = camera.of_size(960, 540)
    point = np.array([0.1, -0.2, 1])
    np.testing.assert_allclose(((small @ point)[:2] + 0.5) * 2, (K @ point)[:2] + 0.5)


@pytest.mark.parametrize("size", [(1080, 1920), (1440, 1080), (960, 600)])
def test_another_part_of_the_sensor_is_refused(size):
    with pytest.raises(UserError, match="1920 × 1080"):
        CalibratedCamera("", (1920, 1080), K, DISTORTION).of_size(*size)


def test_which_camera():
    cameras = [CalibratedCamera(name, None, K, DISTORTION) for name in ("cam01", "cam02")]
    assert pick(cameras[:1], None).name == "cam01"
    assert pick(cameras, "cam02").name == "cam02"
    assert pick(cameras, None, clip="cam01").name == "cam01"
    with pytest.raises(UserError, match="2 cameras"):
        pick(cameras, None, clip="take 3")
    with pytest.raises(UserError, match="no camera “cam9”") as caught:
        pick(cameras, "cam9", clip="cam01")
    assert "cam02" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no camera"),
        ("hello", "no calibration"),
        ("[1, 2]", "no calibration"),
        ("{", "no calibration"),
        ("<a>", "no calibration"),
        ("<calibration/>", "no camera"),
        ("[x]\na = 1", "no camera"),
        ('{"K": [[1, 2], [3, 4]]}', "no calibration"),
        ('{"K": [[0, 0, 1], [0, 0, 1], [0, 0, 1]]}', "no calibration"),
        ('{"K": [[NaN, 0, 1], [0, 9, 1], [0, 0, 1]]}', "no calibration"),
        ('{"K": "wide"}', "no calibration"),
        (pose2sim(fisheye="true"), "fish-eye"),
        (pose2sim(distortions=[0.1] * 8), "fish-eye"),
        (ROS.replace("plumb_bob", "equidistant"), "fish-eye"),
        (qualisys().replace("centerPointU", "centre"), "no calibration"),
    ],
)
def test_what_is_no_calibration_is_refused_in_a_sentence(tmp_path, text, message):
    path = tmp_path / "lens.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_calibration(path)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")


def test_a_missing_or_binary_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_calibration(tmp_path / "none.yml")
    (tmp_path / "video.mp4").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UserError, match=r"(calibration that can be read|holds no camera)"):
        read_calibration(tmp_path / "video.mp4")
