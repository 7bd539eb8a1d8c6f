"""Other cameras that see the same people at the same moments, as the solver wants them."""

from dataclasses import dataclass

import numpy as np

from vp3d.cameras import Camera, undistort_points
from vp3d.refine import skeleton
from vp3d.refine.bundle import Witness
from vp3d.refine.lens import Lens

_TRUSTED_BONES = ("knee", "ankle", "elbow", "wrist")
"""Far ends of the bones whose length two views tell better than a lifter: a detector sees both of their ends."""
_FEWEST_FRAMES = 5


@dataclass(frozen=True)
class SideView:
    """One other camera, known relative to the main one.

    Attributes:
        name: of its clip.
        lens: its intrinsics.
        R: (3, 3) from the main camera's axes to its own; t (3,): `X_side = R X_main + t`.
        joints: (P, T, 21, 2) px of the main clip's people at the main clip's frames, NaN where unknown.
        confidence: (P, T, 21).
    """

    name: str
    lens: Lens
    R: np.ndarray
    t: np.ndarray
    joints: np.ndarray
    confidence: np.ndarray

    def witness(self, person: int, frames: np.ndarray) -> Witness:
        """What this camera saw of a person in frames (n,)."""
        straight = undistort_points(self.joints[person][frames], self.lens.K, self.lens.distortion)
        pixels, confidence = skeleton.observations(straight, self.confidence[person][frames])
        focal = np.diag(self.lens.K)[:2]
        return Witness(self.R, -self.R.T @ self.t, focal, self.lens.K[:2, 2], pixels, confidence)

    def in_world(self, main: Camera, unit: float = 1.0) -> dict:
        """JSON-able: this camera in the world of the main one, which stands still; `unit` m is what `t` counts in."""
        return {
            "name": self.name,
            "K": self.lens.K.tolist(),
            "R": (self.R @ main.R[0]).tolist(),
            "t": (self.R @ main.t[0] + unit * self.t).tolist(),
            "distortion": self.lens.distortion.tolist(),
        }


@dataclass(frozen=True)
class SideViews:
    """All other cameras, and where rays of all meet.

    Attributes:
        views: the cameras.
        points: (P, T, 21, 3) triangulated joints, axes of the main camera; NaN where unknown.
        metres: whether lengths are metres; else the unit is known from people's size alone.
    """

    views: tuple[SideView, ...]
    points: np.ndarray
    metres: bool

    def body(self, person: int, frames: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Bone lengths (17,) and body units per unit of length, from the person's triangulated limbs.

        Args:
            person: which one.
            frames: (n,) frames of the person.
            lengths: (17,) body units, of the bones as the lifter has them.

        Returns:
            None where too little is triangulated.
        """
        points = np.full((len(frames), skeleton.JOINTS, 3), np.nan)
        points[:, skeleton.LIMBS] = self.points[person][frames][:, skeleton.LIMBS_COCO]
        bones = [i for i, name in enumerate(skeleton.NAMES) if name.endswith(_TRUSTED_BONES)]
        found = np.linalg.norm(points[:, bones] - points[:, skeleton.PARENTS[bones]], axis=-1)
        known = np.isfinite(found).sum(0) >= _FEWEST_FRAMES
        if not known.any():
            return None
        measured = np.array([np.nanmedian(bone) if ok else np.nan for bone, ok in zip(found.T, known, strict=True)])
        unit = float(np.nanmedian(lengths[bones] / measured))
        # Left and right are one body's: what one side lacks, the other tells.
        both = dict(zip(bones, measured, strict=True))
        mirrored = skeleton.MIRRORED
        result = lengths.copy()
        for bone in bones:
            pair = [both[side] for side in (bone, mirrored[bone]) if np.isfinite(both[side])]
            if pair:
                result[bone] = unit * float(np.mean(pair))
        return result, unit
