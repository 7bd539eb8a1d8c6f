"""Damaged takes, weights, videos and calibrations: each is read, or refused in a sentence, and the reader lives on."""

import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from damage import damage, damage_zip, pick
from takes import walker
from vp3d.common import take as takes
from vp3d.common.skeletons import COCO_17
from vp3d.detect import basic_network
from vp3d.lift import checkpoint as lifter
from vp3d.lift.model import Architecture, TemporalModel
from vp3d.stereo import checkpoint as stereo
from vp3d.stereo.networks import StereoArchitecture, build

MODEL = "human-pose-estimation-0001"
CONTAINERS = (("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mjpeg"), ("webm", "libvpx-vp9"), ("mov", "mpeg4"))


def share(few: int, many: int) -> pytest.MarkDecorator:
    """A few tries in every run, and all of them with `-m faults`."""
    return pytest.mark.parametrize("tries", [few, pytest.param(many, marks=pytest.mark.faults)])


def try_all(made: Callable[[int], Path], tries: int, reader, tally) -> None:
    """Read each file that `made` gives for a number."""
    for number in range(tries):
        path = made(number)
        result, text = reader.read(path)
        tally.count(result)
        if result in ("crash", "hang", "speechless"):
            print(f"{tally.fault}, number {number}: {result}\n{text}")  # noqa: T201, shown where the test fails
    tally.note = f"peak {reader.peak_mb} MB"
    tally.check()


@share(60, 1000)
def test_damaged_takes(tries, tmp_path, reader, tally):
    bases = []
    for number, options in enumerate(({}, {"people": 2, "moving_camera": True}, {"frames": 3})):
        takes.save(walker(frames=options.pop("frames", 25), **options), tmp_path / f"{number}.vp3d")
        bases.append((tmp_path / f"{number}.vp3d").read_bytes())

    def made(number: int) -> Path:
        rng = random.Random(number)
        path = tmp_path / "damaged.vp3d"
        path.write_bytes(damage_zip(*pick(bases, rng), rng))
        return path

    try_all(made, tries, reader("take"), tally("damaged takes"))


def write_weights(folder: Path) -> list[Path]:
    """One small file of every kind that is read."""
    torch.manual_seed(0)
    pose, trajectory = (TemporalModel(Architecture(52, joints, (3, 3), 8)).state_dict() for joints in (17, 1))
    lifter.save(lifter.Checkpoint(pose, trajectory, licence="CC0"), folder / "lifter.safetensors")
    published = TemporalModel(Architecture(34, 17, (3, 3), 8)).state_dict()
    content = {"epoch": 80, "random_state": np.random.RandomState(1), "model_pos": published, "model_traj": None}
    for name, new in (("old", False), ("new", True)):
        torch.save(content, folder / f"published-{name}.bin", _use_new_zipfile_serialization=new)
    small = basic_network.BasicNetwork((8, 8, 8, 8, 8)).state_dict()
    basic_network.save(basic_network.Weights(small, "CC0", True), folder / "detector.safetensors")
    architecture = StereoArchitecture(len(COCO_17), 18, fused=False, decoder=8)
    weights = stereo.StereoCheckpoint(build(architecture).state_dict(), architecture, "coco-17", 64)
    stereo.save(weights, folder / "stereo.safetensors")
    tensors = {f"roi_heads.keypoint_head.{n}": np.ones((8, 8), np.float32) for n in range(4)}
    (folder / "detectron2.pkl").write_bytes(pickle.dumps({"model": tensors}, protocol=2))
    return sorted(folder.iterdir())


@share(24, 200)
def test_damaged_weights(tries, tmp_path, reader, tally):
    """Most of a file is numbers, so half of the damage is done to its first two kilobytes, where it is described."""
    whole = tmp_path / "whole"
    whole.mkdir()
    files = write_weights(whole)
    contents = [file.read_bytes() for file in files]

    def made(number: int) -> Path:
        rng = random.Random(number)
        which = number % len(files)
        content, other = contents[which], rng.choice(contents)
        head = 2000 if rng.random() < 0.5 else len(content)
        path = tmp_path / f"{files[which].stem}-damaged{files[which].suffix}"
        path.write_bytes(damage(content[:head], other, rng) + content[head:])
        return path

    one = reader("weights")
    assert {one.read(shutil.copy(file, tmp_path / f"{file.stem}-whole{file.suffix}"))[0] for file in files} == {
        "accepted"
    }
    try_all(made, tries, one, tally("damaged weights"))


@pytest.mark.faults
def test_damaged_graphs(shared, tmp_path, reader, tally):
    """The published detector, whose files OpenVINO reads in native code: the description, the weights, or both."""
    source = shared / "models" / MODEL / "FP16"
    graph, weights = ((source / f"{MODEL}.{ending}").read_bytes() for ending in ("xml", "bin"))

    def made(number: int) -> Path:
        rng = random.Random(number)
        bad_graph, bad_weights = rng.choice(((True, False), (True, False), (False, True), (True, True)))
        (tmp_path / f"{MODEL}.xml").write_bytes(damage(graph, weights, rng) if bad_graph else graph)
        (tmp_path / f"{MODEL}.bin").write_bytes(damage(weights, graph, rng) if bad_weights else weights)
        return tmp_path

    try_all(made, 60, reader("graph"), tally("damaged detector graphs"))


def write_clips(folder: Path) -> list[Path]:
    """Small clips of moving noise, and pictures."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (96, 160, 3), np.uint8)
    clips = []
    for ending, codec in CONTAINERS:
        path = folder / f"clip.{ending}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for n in range(12):
                picture = np.ascontiguousarray(texture[n : n + 64, 2 * n : 2 * n + 96])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        clips.append(path)
    return clips


@share(30, 200)
def test_damaged_videos(tries, tmp_path, reader, tally):
    clips = write_clips(tmp_path)
    contents = [clip.read_bytes() for clip in clips]

    def made(number: int) -> Path:
        rng = random.Random(number)
        which = number % len(clips)
        path = tmp_path / f"damaged{clips[which].suffix}"
        path.write_bytes(damage(contents[which], rng.choice(contents), rng))
        return path

    one = reader("video")
    assert {one.read(clip)[0] for clip in clips} == {"accepted"}
    try_all(made, tries, one, tally("damaged videos"))


@share(40, 500)
def test_damaged_calibrations(tries, tmp_path, reader, tally):
    """OpenCV's YAML and XML, which native code reads, and Pose2Sim's TOML."""
    contents = []
    for ending in ("yml", "xml"):
        storage = cv2.FileStorage(str(tmp_path / f"a.{ending}"), cv2.FILE_STORAGE_WRITE)
        storage.write("camera_matrix", np.diag([900.0, 900, 1]))
        storage.write("distortion_coefficients", np.zeros(5))
        storage.release()
        contents.append((tmp_path / f"a.{ending}").read_bytes())
    camera = "[a]\nname = 'a'\nsize = [640, 480]\nmatrix = [[900, 0, 320], [0, 900, 240], [0, 0, 1]]\n"
    contents.append(f"{camera}distortions = [0, 0, 0, 0]\nrotation = [0, 0, 0]\ntranslation = [0, 0, 1]\n".encode())

    def made(number: int) -> Path:
        rng = random.Random(number)
        path = tmp_path / "damaged.yml"
        path.write_bytes(damage(*pick(contents, rng), rng))
        return path

    try_all(made, tries, reader("calibration"), tally("damaged calibrations"))
