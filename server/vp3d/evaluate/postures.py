"""What a person is doing with trunk and legs, told from 3D joints alone, so that errors can be reported apart.

The rules use only angles to the vertical and heights relative to the body's own size: motion capture has no common
floor.
"""

import numpy as np

from vp3d.common.skeletons import H36M_17

POSTURES = ("standing", "walking", "sitting", "floor", "lying")
"""`sitting` includes crouching; `floor` is sitting and kneeling with the hips about as low as the ankles."""

_TIPPED = np.radians(55)
"""Trunk and thighs farther from the vertical than this: lying."""
_BENT = np.radians(50)
"""Both thighs farther from hanging down than this: sitting."""
_LOW = 0.6
"""Hips higher above the lower ankle than this many shin lengths are not on the floor."""
_STRIDE = 0.3
"""m/s of the hips along the ground, over half a second."""


def postures(joints: np.ndarray, fps: float) -> np.ndarray:
    """Posture of every frame, indices (T,) into `POSTURES`, of joints (T, 17, 3) m in a world with Z up at `fps` Hz."""
    at = {name: joints[:, i] for i, name in enumerate(H36M_17.joints)}
    trunk = _from_vertical(at["thorax"] - at["hip"])
    thighs, ankles, shins = (
        np.stack([part("left"), part("right")])
        for part in (
            lambda side: _from_vertical(at[f"{side}_hip"] - at[f"{side}_knee"]),
            lambda side: at[f"{side}_ankle"][:, 2],
            lambda side: np.linalg.norm(at[f"{side}_ankle"] - at[f"{side}_knee"], axis=-1),
        )
    )
    bent = thighs.min(0) > _BENT
    low = at["hip"][:, 2] - ankles.min(0) < _LOW * shins.mean(0)
    span = max(1, round(fps / 4))
    frames = np.arange(len(joints))
    before, after = np.maximum(frames - span, 0), np.minimum(frames + span, len(joints) - 1)
    moved = np.linalg.norm(at["hip"][after, :2] - at["hip"][before, :2], axis=-1)
    walking = moved * fps > _STRIDE * np.maximum(after - before, 1)
    rules = [("lying", (trunk > _TIPPED) & (thighs.mean(0) > _TIPPED)), ("floor", bent & low), ("sitting", bent)]
    rules.append(("walking", walking))
    return np.select([rule for _, rule in rules], [POSTURES.index(name) for name, _ in rules], 0)


def _from_vertical(vector: np.ndarray) -> np.ndarray:
    """Angle (T,) between vectors (T, 3) and straight up, rad."""
    return np.arccos(np.clip(vector[:, 2] / np.maximum(np.linalg.norm(vector, axis=-1), 1e-9), -1, 1))
