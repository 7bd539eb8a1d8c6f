"""MediaPipe Pose behind the `Detector` interface: one person, no download, heels and toes included."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import ModuleType

import numpy as np

from vp3d import models
from vp3d.common.skeletons import BODY_21
from vp3d.detect import WEIGHTS
from vp3d.detect.types import People
from vp3d.errors import UserError

# MediaPipe's landmark for every joint of BODY_21 (its "foot index" is the tip of the big toe).
_LANDMARKS = {
    "nose": 0, "left_eye": 2, "right_eye": 5, "left_ear": 7, "right_ear": 8,
    "left_shoulder": 11, "right_shoulder": 12, "left_elbow": 13, "right_elbow": 14, "left_wrist": 15, "right_wrist": 16,
    "left_hip": 23, "right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27, "right_ankle": 28,
    "left_heel": 29, "right_heel": 30, "left_toe": 31, "right_toe": 32,
}  # fmt: skip
_ORDER = [_LANDMARKS[name] for name in BODY_21.joints]
_MIN_CONFIDENCE = 0.5


def _import_pose() -> ModuleType:
    """Import `mediapipe.python.solutions.pose` and nothing that it does not need.

    The packages' own initialisers import every solution, drawing code with matplotlib and other tasks with jax among
    them. Packages whose initialisers have not run let Python find the one module below them.
    """
    try:
        for name in ("mediapipe", "mediapipe.python.solutions"):
            if name not in sys.modules:
                spec = importlib.util.find_spec(name)
                if spec is None:
                    raise ModuleNotFoundError(name)
                sys.modules[name] = importlib.util.module_from_spec(spec)
        return importlib.import_module("mediapipe.python.solutions.pose")
    except ImportError as error:
        raise UserError(
            f"MediaPipe Pose cannot be loaded ({error}).", "Repair the installation, or choose the bottom-up detector."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Send the process's standard error to nowhere: MediaPipe's C++ side writes notices before its log level counts."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class MediaPipePose:
    """MediaPipe Pose (BlazePose, full): follows one person through a video, so frames must come in their order."""

    name = "mediapipe"
    batch_size = 8
    licence = models.MODELS[WEIGHTS[name]].licence
    description = (
        "MediaPipe Pose followed one person, heels and toes included; the bottom-up detector (8 MB of weights, "
        "downloaded once) would find everyone in the picture."
    )

    def __init__(self) -> None:
        self.weights = models.require(WEIGHTS[self.name])
        with _quiet():
            pose = _import_pose()
            self._pose = pose.Pose(
                static_image_mode=False,
                model_complexity=1,
                min_detection_confidence=_MIN_CONFIDENCE,
                min_tracking_confidence=_MIN_CONFIDENCE,
            )
            # Its networks are built, and write their notices, with the first image.
            self._pose.process(np.zeros((64, 64, 3), np.uint8))
        self._found_someone = False

    def detect(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Detector`."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> People:
        # The last notice comes with the first person.
        with nullcontext() if self._found_someone else _quiet():
            landmarks = self._pose.process(np.ascontiguousarray(image)).pose_landmarks
        if landmarks is None:
            return People.empty()
        self._found_someone = True
        found = [landmarks.landmark[index] for index in _ORDER]
        size = np.array(image.shape[1::-1], np.float32)
        # Landmarks are fractions of the image from its outer corner; ours count from the centre of the first pixel.
        joints = np.array([[(mark.x, mark.y) for mark in found]], np.float32) * size - np.float32(0.5)
        confidence = np.array([[mark.visibility for mark in found]], np.float32)
        return People(joints, confidence)

    def close(self) -> None:
        """See `Detector`."""
        self._pose.close()
