"""People in images: joints in pixels with confidences, frame by frame."""

from pathlib import Path

from vp3d import models
from vp3d.detect.types import SEEN, Detector, People
from vp3d.errors import UserError

__all__ = ["DETAILS", "DETECTORS", "SEEN", "WEIGHTS", "Detector", "People", "open_detector"]

DETECTORS = ("auto", "bottom-up", "bottom-up-int8", "basic", "mediapipe", "keypoint-rcnn")
DETAILS = ("fast", "normal", "fine")
WEIGHTS = {
    "bottom-up": "human-pose-estimation-0001",
    "bottom-up-int8": "human-pose-estimation-0001-int8",
    "basic": "detector",
    "mediapipe": "mediapipe-pose",
}
"""What each detector's weights are called in `models.MODELS`."""


def open_detector(
    name: str = "auto", detail: str = "normal", device: str = "auto", every: int = 1, runtime: str = "auto"
) -> Detector:
    """Open a detector.

    Args:
        name: one of `DETECTORS`, or a file that `vp3d train detector` wrote; "auto" is bottom-up where its weights are
            found, else MediaPipe.
        detail: "fast" or "normal", the size at which the network sees the image, or "fine", which for bottom-up
            detectors is normal and a second look at small people.
        device: "auto", "cpu", "cuda" or "mps", for all but MediaPipe.
        every: look at every n-th image only, and follow the joints between them by optical flow.
        runtime: how a bottom-up network runs, one of `runtime.RUNTIMES`.

    Raises:
        UserError: an unknown name, missing or damaged weights, a device or a library that is not there.
    """
    if detail not in DETAILS:
        raise UserError(f"There is no level of detail {detail!r}.", f"Choose one of: {', '.join(DETAILS)}.")
    if every < 1:
        raise UserError(f"Every {every}th frame cannot be looked at.", "Give 1 for all of them, 2 for every second …")
    detector = _open(name, detail, device, runtime)
    if every == 1:
        return detector
    from vp3d.detect.propagation import EveryNth

    return EveryNth(detector, every)


def _open(name: str, detail: str, device: str, runtime: str) -> Detector:
    # The detectors' libraries take seconds to import, so only the one that runs is imported.
    if name == "mediapipe" or (name == "auto" and models.find(WEIGHTS["bottom-up"]) is None):
        from vp3d.detect.mediapipe_pose import MediaPipePose

        return MediaPipePose()
    if name == "keypoint-rcnn":
        from vp3d.detect.keypoint_rcnn import KeypointRCNN

        return KeypointRCNN(detail, device)
    trained = Path(name)
    if name not in DETECTORS and trained.suffix != ".safetensors":
        raise UserError(
            f"There is no detector {name!r}.",
            f"Choose one of: {', '.join(DETECTORS)}, or a file that `vp3d train detector` wrote.",
        )
    from vp3d.detect.bottom_up import BottomUp

    weights = trained if name not in DETECTORS else models.require(WEIGHTS["bottom-up" if name == "auto" else name])
    quantised = name == "bottom-up-int8"
    whole = BottomUp(weights, detail, device, quantised, runtime)
    if detail != "fine":
        return whole
    from vp3d.detect.closer_look import SIDE, CloserLook

    return CloserLook(whole, BottomUp(weights, detail, device, quantised, runtime, short_side=SIDE))
