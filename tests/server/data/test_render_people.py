"""The generator as its users run it, in a real Blender, on small pictures."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from vp3d.common.skeletons import COCO_23
from vp3d.data.blender.figures import beneath_skin
from vp3d.data.records import count_records
from vp3d.data.render_people import RenderSettings, find_blender, render_people, write_annotations
from vp3d.errors import Cancelled, UserError
from vp3d.paths import HOME_VARIABLE

SIZE = 96


@pytest.fixture(scope="module")
def blender() -> Path:
    try:
        return find_blender(None)
    except UserError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error} CI skips nothing.")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def settings(shared: Path, blender: Path, tmp_path_factory: pytest.TempPathFactory) -> RenderSettings:
    meshes = (shared / "meshes/rocketbox/Male_Adult_06.fbx", shared / "meshes/makehuman.zip")
    folder = tmp_path_factory.mktemp("rendered") / "people with späces"
    return RenderSettings(folder, 6, meshes, size=SIZE, seed=4, blender=blender)


@pytest.fixture(scope="module")
def rendered(settings: RenderSettings) -> dict:
    """A small data set, rendered by one process."""
    return json.loads(render_people(settings).read_text())


@pytest.fixture(scope="module")
def stereo(settings: RenderSettings) -> dict:
    """A small data set of two cameras."""
    folder = settings.output.with_name("stereo")
    return json.loads(render_people(replace(settings, output=folder, images=8, views=2)).read_text())


def keypoints(annotation: dict) -> np.ndarray:
    return np.array(annotation["keypoints"]).reshape(-1, 3)


def project(image: dict, annotation: dict) -> np.ndarray:
    R, t, K = (np.array(image[name]) for name in "RtK")
    return cv2.projectPoints(np.array(annotation["keypoints_3d"]), cv2.Rodrigues(R)[0], t, K, None)[0][:, 0]


def mask(annotation: dict) -> np.ndarray:
    coded = annotation["segmentation"]
    flat = np.repeat(np.arange(len(coded["counts"])) % 2, coded["counts"])
    return flat.reshape(coded["size"][::-1]).T.astype(bool)


def test_joints_lie_where_their_camera_projects_them(rendered, stereo):
    for data in (rendered, stereo):
        images = {image["id"]: image for image in data["images"]}
        assert data["categories"][0]["keypoints"] == list(COCO_23.joints) and data["annotations"]
        for annotation in data["annotations"]:
            pixels, points = project(images[annotation["image_id"]], annotation), keypoints(annotation)
            known = points[:, 2] > 0
            assert np.abs(points[known, :2] - pixels[known]).max(initial=0) < 0.01
            assert annotation["num_keypoints"] == known.sum()
            assert annotation["area"] or not known.any()
            outside = ((pixels < -0.51) | (pixels > SIZE - 0.49)).any(1)
            assert not (known & outside).any()


def test_boxes_and_masks_are_of_the_same_person(rendered, stereo):
    for data in (rendered, stereo):
        together = {}
        for annotation in data["annotations"]:
            pixels = mask(annotation)
            assert pixels.sum() == annotation["area"]
            if pixels.any():
                x, y, w, h = annotation["bbox"]
                rows, columns = np.nonzero(pixels)
                assert (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1) == (x, y, w, h)
            together[annotation["image_id"]] = together.get(annotation["image_id"], 0) + pixels
        assert max(np.max(count) for count in together.values()) == 1  # nobody's pixel is another's


def test_what_is_visible_lies_on_its_person(rendered, stereo):
    near = total = 0
    for data in (rendered, stereo):
        for annotation in data["annotations"]:
            grown = cv2.dilate(mask(annotation).astype(np.uint8), np.ones((5, 5))) > 0
            for x, y, visibility in keypoints(annotation):
                if visibility == 2:
                    total += 1
                    near += grown[round(y), round(x)]
    assert total > 60 and near / total > 0.97


def test_visibility_agrees_with_a_depth_render(stereo, settings, blender, repository, tmp_path):
    folder = settings.output.with_name("stereo")
    images = {(image["instant"], image["camera"]): image for image in stereo["images"]}
    agree = {1: [], 2: []}
    for instant in range(3):
        image = images[instant, 1]  # the camera that the scene is left with
        out = tmp_path / f"{instant}.npy"
        script = Path(__file__).with_name("depth_in_blender.py")
        words = [blender, script, repository / "server", folder / "records/job.json", instant, out]
        subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=300)
        (annotation,) = [a for a in stereo["annotations"] if a["image_id"] == image["id"]]
        slant = np.linalg.norm(np.linalg.inv(np.array(image["K"])) @ _pixels(), axis=0).reshape(SIZE, SIZE)
        distances = np.load(out) * slant
        eye = -np.array(image["R"]).T @ np.array(image["t"])
        joints = zip(COCO_23.joints, keypoints(annotation), annotation["keypoints_3d"], strict=True)
        for joint, (x, y, visibility), place in joints:
            if visibility:
                too_deep = np.linalg.norm(place - eye) - distances[round(y), round(x)] - beneath_skin(joint)
                if abs(too_deep) > 0.01:  # half a pixel more or less does not matter
                    agree[visibility].append((too_deep > 0) == (visibility == 1))
    assert len(agree[1]) > 5 and len(agree[2]) > 10
    assert np.mean(agree[1] + agree[2]) > 0.95


def _pixels() -> np.ndarray:
    """Homogeneous pixels (3, N)."""
    v, u = np.mgrid[:SIZE, :SIZE].reshape(2, -1)
    return np.stack([u, v, np.ones_like(u)])


def test_every_view_has_the_same_people_in_the_same_place(stereo):
    images = {image["id"]: image for image in stereo["images"]}
    assert len(images) == 8
    instants = {}
    for annotation in stereo["annotations"]:
        image = images[annotation["image_id"]]
        instants.setdefault(image["instant"], []).append((image, annotation))
    for views in instants.values():
        (left, a), (right, b) = views
        assert a["subject"] == b["subject"] and a["person"] == b["person"]
        assert a["keypoints_3d"] == b["keypoints_3d"] and left["K"] != right["K"] and left["R"] != right["R"]
        assert left["split"] == right["split"] and left["rig"] == right["rig"]


def test_people_and_cameras_are_held_out(stereo, settings):
    known = json.loads((settings.output.with_name("stereo") / "settings.json").read_text())
    for kind in ("subjects", "rigs"):
        assert known[kind]["test"] and not set(known[kind]["train"]) & set(known[kind]["test"])
    for image in stereo["images"]:
        assert image["split"] in ("train", "test", "test-cameras")
        assert (image["rig"] in known["rigs"]["test"]) == (image["split"] == "test-cameras")


def test_pictures_show_something(rendered, settings):
    for image in rendered["images"]:
        picture = cv2.imread(str(settings.output / "images" / image["file_name"]))
        assert picture.shape == (SIZE, SIZE, 3) and picture.std() > 8 and 25 < picture.mean() < 235


def same(a: Path, b: Path) -> None:
    assert (a / "annotations.json").read_bytes() == (b / "annotations.json").read_bytes()
    names = sorted(path.name for path in (a / "images").iterdir())
    assert names == sorted(path.name for path in (b / "images").iterdir())
    for name in names:
        assert (a / "images" / name).read_bytes() == (b / "images" / name).read_bytes(), name


def test_killed_and_resumed_by_more_processes_it_is_the_same(rendered, settings, tmp_path, repository):
    again = replace(settings, output=tmp_path / "again", processes=2)
    program = (
        "from pathlib import Path\n"
        "from vp3d.data.render_people import RenderSettings, render_people\n"
        f"meshes = [Path(mesh) for mesh in {[str(mesh) for mesh in again.meshes]!r}]\n"
        f"output, blender = Path({str(again.output)!r}), Path({str(again.blender)!r})\n"
        f"render_people(RenderSettings(output, 6, meshes, size={SIZE}, seed=4, blender=blender))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(repository / "server")}
    )
    deadline = time.monotonic() + 200
    while count_records(again.output) < 2:
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    child.wait()
    time.sleep(1.0)
    left = count_records(again.output)
    time.sleep(1.0)
    assert count_records(again.output) == left < 6  # Blender ended with the one that started it
    with (again.output / "records/0.jsonl").open("a") as file:
        file.write('{"instant": 5, "ima')  # and was writing when it did
    written = json.loads(write_annotations(again.output).read_text())
    assert len(written["images"]) == left
    render_people(again)
    same(settings.output, again.output)


def test_a_wish_to_stop_ends_blender_and_keeps_what_is_there(rendered, settings, tmp_path):
    folder = tmp_path / "stopped"

    def stop(stage: str, done: int, total: int) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        render_people(replace(settings, output=folder), stop)
    assert 1 <= count_records(folder) < 6


def test_other_settings_need_another_folder(rendered, settings):
    with pytest.raises(UserError, match="other settings"):
        render_people(replace(settings, seed=5))
    render_people(settings)  # the same are done already, without Blender


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"meshes": (Path("nowhere"),)}, "no “nowhere”"),
        ({"engine": "radiance"}, "no engine"),
        ({"views": 5}, "--views 5"),
        ({"blender": Path("nowhere/blender")}, "no program"),
    ],
)
def test_wrong_settings_are_named(tmp_path, blender, shared, change, said):
    settings = RenderSettings(tmp_path / "out", 2, (shared / "meshes",), blender=blender)
    with pytest.raises(UserError, match=said):
        render_people(replace(settings, **change))


def test_without_a_blender_it_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="install setup"):
        find_blender(None)


def test_a_blender_that_fails_is_named_with_its_log(settings, tmp_path):
    damaged = tmp_path / "makehuman.zip"
    damaged.write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"0\.log"):
        render_people(replace(settings, output=tmp_path / "out", meshes=(damaged,)))
