"""A video that shows at a glance what a capture found: the plate with its 2D skeletons, beside the motion in 3D."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vp3d import drawing, media
from vp3d.common.skeletons import BODY_21, H36M_17
from vp3d.common.take import Take
from vp3d.drawing import View
from vp3d.errors import UserError
from vp3d.files import written_whole
from vp3d.progress import Progress, silent

MAX_WIDTH, MAX_HEIGHT = 1280, 720  # px of the whole picture
TURN_RATE = np.radians(15)  # rad/s of the turning view
CALM_S = 1.0  # s over which the turning view follows people
_MOST_VIEWS = 3
QUALITY = "22"  # x264's constant rate factor: clean lines in a small file


@dataclass(frozen=True)
class _Panel:
    """A part of the picture: its top-left corner, its size (px) and what draws it from (step, plate)."""

    x: int
    y: int
    size: tuple[int, int]
    draw: Callable[[int, np.ndarray, tuple[int, int]], np.ndarray]


def write_preview(
    take: Take, video: Path, out: Path, frames_dir: Path | None = None, progress: Progress = silent
) -> None:
    """Write an H.264 video of a take, or a GIF by the file's name, at most 1280 × 720 px.

    Left is the plate with the 2D skeletons (left side blue, right side orange, surer lines thicker). Beside it are the
    pictures in `frames_dir`, or, without them, the 3D skeletons seen through the solved camera and from a slowly
    turning view. Other views of the same moment, where their videos are still there, show the 3D skeletons over their
    plates instead of the solved camera.

    Args:
        take: what to show.
        video: the plate.
        out: file to write; it appears whole or not at all.
        frames_dir: folder of images named by the video's frame number, such as `12.png` or `0012.png`.
        progress: called as stage "preview".

    Raises:
        UserError: the video or a rendered picture is missing or broken, or `out` cannot be written.
    """
    plate_size = (take.video["width"], take.video["height"])
    rendered = _rendered(frames_dir) if frames_dir else None
    panels = _layout(take, plate_size, rendered)
    width = _even(max(panel.x + panel.size[0] for panel in panels))
    height = _even(max(panel.y + panel.size[1] for panel in panels))
    every = int(take.video.get("every", 1))
    rate = (take.fps / every).limit_denominator(65535)
    steps = {int(frame): step for step, frame in enumerate(take.frames)}
    plates = media.read_frames(video, int(take.frames[0]), int(take.frames[-1]) + 1, every)
    kind = "gif" if Path(out).suffix.lower() == ".gif" else "mp4"
    with written_whole(Path(out)) as partial, _Writer(partial, (width, height), rate, kind) as writer:
        for plate in plates:
            step = steps.get(plate.index)
            if step is None:
                continue
            progress("preview", step, len(take.frames))
            canvas = np.full((height, width, 3), drawing.BACKGROUND, np.uint8)
            for panel in panels:
                (w, h), x, y = panel.size, panel.x, panel.y
                canvas[y : y + h, x : x + w] = panel.draw(step, plate.image, panel.size)
            writer.add(canvas)
    progress("preview", len(take.frames), len(take.frames))


class _Writer:
    """An MP4 or a GIF file that pictures are added to."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, kind: str) -> None:
        film = kind == "mp4"
        self._container = av.open(str(path), "w", format=kind, options={"movflags": "+faststart"} if film else {})
        quality = {"crf": QUALITY, "preset": "veryfast"} if film else {}
        self._stream = self._container.add_stream("h264" if film else "gif", rate=rate, options=quality)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p" if film else "rgb8"

    def __enter__(self) -> "_Writer":
        return self

    def add(self, image: np.ndarray) -> None:
        """Append a picture (H, W, 3) uint8 RGB."""
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        self._container.mux(self._stream.encode(frame.reformat(format=self._stream.pix_fmt)))

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()


def _even(length: float) -> int:
    return int(length) // 2 * 2  # what yuv420p can hold


def _fit(size: tuple[int, int], width: float, height: float) -> tuple[int, int]:
    """The largest even size of the same shape within width and height (px)."""
    scale = min(width / size[0], height / size[1])
    return max(_even(size[0] * scale), 2), max(_even(size[1] * scale), 2)


def _layout(take: Take, plate: tuple[int, int], rendered: dict[int, Path] | None) -> list[_Panel]:
    """Panels side by side; without renders a wide plate has the two 3D views stacked beside it."""
    left = _plate_panel(take, plate)
    if rendered is not None:
        size = _fit(plate, MAX_WIDTH / 2, MAX_HEIGHT)
        return [_Panel(0, 0, size, left), _Panel(size[0], 0, size, _render_panel(take, rendered))]
    through, round_about = _camera_panel(take, plate), _orbit_panel(take)
    others = [view for view in take.report.get("views", ()) if Path(view["path"]).is_file()]
    if others:
        return _side_by_side(take, plate, left, others, round_about)
    if plate[0] < plate[1]:
        size = _fit(plate, MAX_WIDTH / 3, MAX_HEIGHT)
        return [_Panel(i * size[0], 0, size, draw) for i, draw in enumerate((left, through, round_about))]
    size = _fit(plate, MAX_WIDTH * 2 / 3, MAX_HEIGHT)
    half = (_even(size[0] / 2), _even(size[1] / 2))
    stacked = [_Panel(size[0], y, half, draw) for y, draw in ((0, through), (half[1], round_about))]
    return [_Panel(0, 0, size, left), *stacked]


def _side_by_side(
    take: Take, plate: tuple[int, int], left: Callable, others: list[dict], round_about: Callable
) -> list[_Panel]:
    """All views in a row, and the turning view; as many as stay large enough to see something."""
    others = others[:_MOST_VIEWS]
    sizes = [plate, *((view["width"], view["height"]) for view in others), plate]
    height = min(MAX_HEIGHT, MAX_WIDTH / sum(w / h for w, h in sizes))
    panels, x = [], 0
    for size, draw in zip(sizes, (left, *(_other_panel(take, view) for view in others), round_about), strict=True):
        shown = (_even(size[0] / size[1] * height), _even(height))
        panels.append(_Panel(x, 0, shown, draw))
        x += shown[0]
    return panels


def _other_panel(take: Take, about: dict) -> Callable:
    """The 3D skeletons over the plate of another view, whose frames nearest in time are read as they are needed."""
    K, R, t = (np.array(about[name], float) for name in ("K", "R", "t"))
    distortion, size_px = np.array(about["distortion"], float), (about["width"], about["height"])
    numbers = np.round((take.frames / float(take.fps) - about["offset_s"]) * about["fps"]).astype(int)
    first = max(int(numbers[0]), 0)
    stream = media.read_frames(Path(about["path"]), first, max(int(numbers[-1]), first) + 1)
    held: list[media.Frame] = []

    def draw(step: int, _: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        while not held or held[0].index < numbers[step]:
            frame = next(stream, None)
            if frame is None:
                break
            held[:] = [frame]
        picture = np.full((size[1], size[0], 3), drawing.BACKGROUND, np.uint8)
        if held and held[0].index == numbers[step]:
            picture = cv2.resize(held[0].image, size, interpolation=cv2.INTER_AREA)
        scale = np.array(size) / size_px
        shown = K * [[scale[0]], [scale[1]], [1]]
        shown[:2, 2] += 0.5 * scale - 0.5
        view = View(shown, R, t, distortion)
        joints = take.joints3d[:, step].astype(float)
        for person in reversed(range(len(joints))):
            drawing.skeleton(picture, view.project(joints[person]), H36M_17, person)
        drawing.text(picture, about["name"], (8, size[1] - 8), drawing.PEOPLE[0], 0.4)
        return picture

    return draw


def _scaled(pixels: np.ndarray, plate: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Pixels (..., 2) of the plate in a picture of another size; (0, 0) is the centre of a pixel in both."""
    return (pixels + 0.5) * (np.array(size) / plate) - 0.5


def _plate_panel(take: Take, plate: tuple[int, int]) -> Callable:
    def draw(step: int, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        joints = _scaled(take.joints2d[:, step].astype(float), plate, size)
        for person in reversed(range(len(joints))):  # the main person on top
            drawing.skeleton(picture, joints[person], BODY_21, person, take.confidence[person, step])
            if np.isfinite(joints[person]).any():
                top = joints[person, np.nanargmin(joints[person, :, 1])]
                colour = drawing.PEOPLE[person % len(drawing.PEOPLE)]
                drawing.text(picture, str(take.person_ids[person]), (top[0] - 5, max(top[1] - 10, 14)), colour)
        drawing.text(picture, f"frame {take.frames[step]}", (8, size[1] - 8), drawing.PEOPLE[0], 0.4)
        return picture

    return draw


def _camera_panel(take: Take, plate: tuple[int, int]) -> Callable:
    def draw(step: int, _: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        camera = step if len(take.camera_K) > 1 else 0
        K = take.camera_K[camera].copy()
        K[:2] *= (np.array(size) / plate)[:, None]
        K[:2, 2] += 0.5 * np.array(size) / plate - 0.5
        view = View(K, take.camera_R[camera], take.camera_t[camera], take.distortion)
        return _stage(take, step, view, size, "solved camera")

    return draw


def _orbit_panel(take: Take) -> Callable:
    centres = _followed(take)
    seconds = (take.frames - take.frames[0]) / float(take.fps)
    hips = take.joints3d[:, :, 0]
    spread = float(np.nanmax(np.linalg.norm(hips - centres, axis=-1), initial=0.0)) if np.isfinite(hips).any() else 0.0

    def draw(step: int, _: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        view = View.orbit(centres[step], 3.4 + 1.5 * min(spread, 6.0), 0.6 + TURN_RATE * seconds[step], size)
        return _stage(take, step, view, size, "turning view")

    return draw


def _followed(take: Take) -> np.ndarray:
    """(T, 3) m, where the turning view looks: the middle of the people, calmed over `CALM_S`."""
    hips = take.joints3d[:, :, 0].astype(float)
    known = np.isfinite(hips).all(-1)
    steps = np.flatnonzero(known.any(0))
    if not len(steps):
        return np.tile([0.0, 0.0, 1.0], (len(take.frames), 1))
    middle = np.where(known[..., None], hips, 0).sum(0)[steps] / known.sum(0)[steps, None]
    centres = np.stack([np.interp(np.arange(len(take.frames)), steps, axis) for axis in middle.T], -1)
    reach = round(CALM_S * float(take.fps) / int(take.video.get("every", 1)) / 2)
    padded = np.pad(centres, ((reach, reach), (0, 0)), mode="edge")
    window = np.ones(2 * reach + 1) / (2 * reach + 1)
    return np.stack([np.convolve(axis, window, "valid") for axis in padded.T], -1)


def _stage(take: Take, step: int, view: View, size: tuple[int, int], title: str) -> np.ndarray:
    picture = np.full((size[1], size[0], 3), drawing.BACKGROUND, np.uint8)
    joints = take.joints3d[:, step].astype(float)
    hips = joints[np.isfinite(joints).all((1, 2)), 0]
    drawing.floor(picture, view, hips.mean(0) if len(hips) else np.zeros(3))
    for person in reversed(range(len(joints))):
        drawing.skeleton(picture, view.project(joints[person]), H36M_17, person)
    drawing.text(picture, title, (8, size[1] - 8), drawing.PEOPLE[0], 0.4)
    return picture


def _rendered(folder: Path) -> dict[int, Path]:
    """Images of a folder by the frame number at the end of their names."""
    if not folder.is_dir():
        raise UserError(f"There is no folder “{folder}” of rendered frames.", "Render the frames, or leave them out.")
    numbered = ((re.search(r"(\d+)$", file.stem), file) for file in folder.iterdir() if file.suffix.lower() == ".png")
    return {int(match[1]): file for match, file in numbered if match}


def _render_panel(take: Take, rendered: dict[int, Path]) -> Callable:
    missing = [int(frame) for frame in take.frames if int(frame) not in rendered]
    if missing:
        raise UserError(
            f"The rendered frames lack {len(missing)} of {len(take.frames)}, first frame {missing[0]}.",
            "Render all frames of the take.",
        )

    def draw(step: int, _: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        picture = media.read_image(rendered[int(take.frames[step])])
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

    return draw
