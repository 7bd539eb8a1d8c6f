"""People in images: joints in pixels with confidences, frame by frame."""

from vp3d import models
from vp3d.detect.types import SEEN, Detector, People
from vp3d.errors import UserError

__all__ = ["DETAILS", "DETECTORS", "SEEN", "WEIGHTS", "Detector", "People", "open_detector"]

DETECTORS = ("auto", "bottom-up", "mediapipe")
DETAILS = ("fast", "normal", "fine")
WEIGHTS = {"bottom-up": "human-pose-estimation-0001", "mediapipe": "mediapipe-pose"}
"""What each detector's weights are called in `models.MODELS`."""


def open_detector(name: str = "auto", detail: str = "normal", device: str = "auto") -> Detector:
    """Open a detector.

    Args:
        name: "bottom-up", "mediapipe", or "auto": bottom-up where its weights are found, else MediaPipe.
        detail: "fast", "normal" or "fine", the size at which the bottom-up network sees the image.
        device: "auto", "cpu", "cuda" or "mps", for the bottom-up network.

    Raises:
        UserError: an unknown name, missing or damaged weights, a device that is not there.
    """
    for what, value, choices in (("detector", name, DETECTORS), ("level of detail", detail, DETAILS)):
        if value not in choices:
            raise UserError(f"There is no {what} {value!r}.", f"Choose one of: {', '.join(choices)}.")
    # Either detector's libraries take seconds to import, so only the one that runs is imported.
    if name == "mediapipe" or (name == "auto" and models.find(WEIGHTS["bottom-up"]) is None):
        from vp3d.detect.mediapipe_pose import MediaPipePose

        return MediaPipePose()
    from vp3d.detect.bottom_up import BottomUp

    return BottomUp(models.require(WEIGHTS["bottom-up"]), detail, device)
