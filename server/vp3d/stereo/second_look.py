"""Joints of several views found again by a stereo network, in crops around what the detector found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from vp3d import media
from vp3d.cameras import distort
from vp3d.common.skeletons import COCO_17
from vp3d.devices import computes_in_half
from vp3d.errors import UserError
from vp3d.progress import Progress, silent
from vp3d.refine import Lens
from vp3d.refine.side_views import SideViews
from vp3d.stereo.checkpoint import StereoCheckpoint
from vp3d.stereo.networks import (
    LEAST_SIDE,
    SURROUNDINGS,
    PoseNetwork,
    middle_of,
    peak_confidence,
    soft_argmax,
    to_unit_crop,
)
from vp3d.stereo.resnet import normalise
from vp3d.stereo.triangulation import triangulate
from vp3d.stereo.views import ClipView, Joined, triangulated

_BATCH = 8
_STATURE = 1.7
_JOINTS = len(COCO_17)


@dataclass(frozen=True)
class Film:
    """Pictures of one view at the main view's instants: `numbers` (T,) of its frames, -1 where it has none."""

    path: Path
    numbers: np.ndarray

    def pictures(self) -> Iterator[np.ndarray | None]:
        """(H, W, 3) uint8 of every instant, in order."""
        known = self.numbers[self.numbers >= 0]
        stream = media.read_frames(self.path, int(known.min()), int(known.max()) + 1) if len(known) else iter(())
        frame = next(stream, None)
        for number in self.numbers:
            while frame is not None and frame.index < number:
                frame = next(stream, None)
            yield frame.image if frame is not None and frame.index == number else None


def look_again(
    checkpoint: StereoCheckpoint,
    main: ClipView,
    joined: Joined,
    films: Sequence[Film],
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[ClipView, Joined]:
    """Replace COCO's joints of everybody whom at least two views see by what the network finds.

    Instants at which the rays to a person do not meet keep what the detector found.

    Args:
        checkpoint: of a network for COCO's joints.
        main: the main view.
        joined: the others, as `views.join` put them beside it.
        films: pictures of the main view and the others.
        device: where to compute.

    Raises:
        UserError: the network knows other joints.
    """
    if checkpoint.skeleton != COCO_17.name:
        raise UserError(
            f"This network finds the joints of {checkpoint.skeleton}, not COCO's.",
            "Train one on rendered people: `vp3d data render-people`, then `vp3d train cdrnet`.",
        )
    network = checkpoint.network().to(device)
    lenses = [main.lens, *(side.lens for side in joined.side.views)]
    poses = [np.eye(3, 4), *(np.c_[side.R, side.t] for side in joined.side.views)]
    matrices = np.stack([lens.K @ pose for lens, pose in zip(lenses, poses, strict=True)])
    matrices[:, :, 3] *= _metres(joined.side)
    joints = [main.tracks.joints.copy(), *(side.joints.copy() for side in joined.side.views)]
    confidence = [main.tracks.confidence.copy(), *(side.confidence.copy() for side in joined.side.views)]
    total = len(main.times)
    pending: list[_Crops] = []

    def flush() -> None:
        if pending:
            for crops, (pixels, trust) in zip(pending, _find(network, pending, checkpoint.size, device), strict=True):
                for v, view in enumerate(crops.views):
                    joints[view][crops.person, crops.instant, :_JOINTS] = _bent(pixels[v], lenses[view])
                    confidence[view][crops.person, crops.instant, :_JOINTS] = trust[v]
            pending.clear()

    for instant, pictures in enumerate(zip(*(film.pictures() for film in films), strict=True)):
        progress("look again", instant, total)
        straight = [_straight(picture, lens) for picture, lens in zip(pictures, lenses, strict=True)]
        for person in range(len(main.tracks.joints)):
            crops = _cut(person, instant, straight, lenses, matrices, joints, checkpoint.size)
            if len(crops.views) >= 2 and _meet(crops, checkpoint.size):
                if pending and len(pending[0].views) != len(crops.views):
                    flush()
                pending.append(crops)
                if len(pending) == _BATCH:
                    flush()
    flush()
    progress("look again", total, total)
    tracks = replace(main.tracks, joints=joints[0], confidence=confidence[0])
    seen = replace(main, tracks=tracks)
    sides = tuple(
        replace(side, joints=own, confidence=trust)
        for side, own, trust in zip(joined.side.views, joints[1:], confidence[1:], strict=True)
    )
    return seen, replace(joined, side=SideViews(sides, triangulated(seen, sides), joined.side.metres))


@dataclass(frozen=True)
class _Crops:
    """One person at one instant in the `views` that show them: crops (v, 3, S, S) 0..1, where they were cut out
    (`offset` (v, 2) px, px per crop's px `scale` (v,)), and camera matrices (v, 3, 4) of the crops."""

    person: int
    instant: int
    views: list[int]
    pictures: np.ndarray
    offset: np.ndarray
    scale: np.ndarray
    matrices: np.ndarray


def _metres(side: SideViews) -> float:
    """Metres in the unit of the views: networks know people of people's size."""
    if side.metres:
        return 1.0
    nose, ankles = COCO_17.index("nose"), [COCO_17.index("left_ankle"), COCO_17.index("right_ankle")]
    height = np.linalg.norm(side.points[0][:, nose] - side.points[0][:, ankles].mean(1), axis=-1)
    return 0.9 * _STATURE / float(np.nanmedian(height)) if np.isfinite(height).any() else 1.0


def _straight(picture: np.ndarray | None, lens: Lens) -> np.ndarray | None:
    if picture is None or not np.any(lens.distortion):
        return picture
    return cv2.undistort(picture, lens.K, lens.distortion)


def _bent(pixels: np.ndarray, lens: Lens) -> np.ndarray:
    """Pixels (..., 2) of the straight picture in the picture as filmed."""
    focal, centre = np.diag(lens.K)[:2], lens.K[:2, 2]
    return distort((pixels - centre) / focal, lens.distortion) * focal + centre


def _cut(
    person: int,
    instant: int,
    pictures: Sequence[np.ndarray | None],
    lenses: Sequence[Lens],
    matrices: np.ndarray,
    joints: Sequence[np.ndarray],
    size: int,
) -> _Crops:
    views, cut, offsets, scales, projections = [], [], [], [], []
    for view, picture in enumerate(pictures):
        known = joints[view][person, instant, :_JOINTS]
        known = known[np.isfinite(known).all(-1)]
        if picture is None or len(known) < 3:
            continue
        low, high = known.min(0), known.max(0)
        scale = max(float((high - low).max()) * SURROUNDINGS, LEAST_SIDE) / size
        offset = (low + high) / 2 - scale * (size - 1) / 2
        affine = np.array([[1 / scale, 0, -offset[0] / scale], [0, 1 / scale, -offset[1] / scale], [0, 0, 1]])
        crop = cv2.warpAffine(
            picture, affine[:2], (size, size), flags=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        )
        views.append(view)
        cut.append(crop.transpose(2, 0, 1) / np.float32(255))
        offsets.append(offset)
        scales.append(scale)
        projections.append(affine @ matrices[view])
    return _Crops(person, instant, views, np.array(cut), np.array(offsets), np.array(scales), np.array(projections))


def _meet(crops: _Crops, size: int) -> bool:
    """Whether the rays through the crops' centres meet; where they do not, the views cannot show one person."""
    centres = torch.full((len(crops.views), 2), (size - 1) / 2, dtype=torch.float64)
    matrices = torch.from_numpy(crops.matrices.astype(np.float32)).double()  # as precise as the network gets them
    return bool(torch.isfinite(triangulate(centres, matrices)).all())


@torch.no_grad()
def _find(network: PoseNetwork, crops: Sequence[_Crops], size: int, device: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels (v, 17, 2) of the straight pictures and confidences (v, 17) for each person and instant."""
    pictures = torch.from_numpy(np.stack([c.pictures for c in crops])).to(device)
    projections = torch.from_numpy(np.stack([c.matrices for c in crops]).astype(np.float32)).to(device)
    unit = None
    if network.architecture.fused:
        unit = to_unit_crop(projections, middle_of(projections, size), (size, size))
    with torch.autocast(device, dtype=torch.bfloat16, enabled=computes_in_half(device)):
        heatmaps = network(normalise(pictures), unit).float()
    pixels, trust = soft_argmax(heatmaps).cpu().numpy(), peak_confidence(heatmaps).cpu().numpy()
    return [(p * c.scale[:, None, None] + c.offset[:, None], t) for c, p, t in zip(crops, pixels, trust, strict=True)]
