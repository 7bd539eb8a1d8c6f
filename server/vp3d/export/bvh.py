"""BVH: hierarchy, rest offsets and Euler angles, the motion format that nearly every 3D program reads.

Y up, facing +Z, centimetres, as BVH files of motion capture mostly are. Every joint rotates by Z, X, Y; the joints are
the heads of the bones of `common.armature`, whose T-pose is the rest pose.
"""

from pathlib import Path

import numpy as np

from vp3d.common import armature
from vp3d.common.ends import seen_ends
from vp3d.common.take import Take

_CENTIMETRES = 100.0
_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # from Z up, facing -Y


def write(take: Take, path: Path, person: int) -> None:
    """Write one person's motion, a line per processed frame; a pose is held where the person is out of sight.

    Args:
        take: the take.
        path: file to write.
        person: position in `take.person_ids`.

    Raises:
        ValueError: when the person has no pose in any frame.
    """
    times = take.frames / float(take.fps)
    motion = armature.solve(take.joints3d[person], take.contacts[person], times, seen_ends(take, person))
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / float(take.fps)
    rows = _rows(motion)[_last_keyed(motion.keyed)]
    lines = [
        "HIERARCHY",
        *_hierarchy(motion.rest),
        "MOTION",
        f"Frames: {len(rows)}",
        f"Frame Time: {step:.8f}",
        *(" ".join(f"{value:.5f}" for value in row) for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _hierarchy(rest: armature.Rest, bone: int = 0, depth: int = 0) -> list[str]:
    parent, indent = rest.parents[bone], "  " * depth
    offset = rest.heads[bone] - rest.heads[parent] if parent >= 0 else np.zeros(3)
    position = "Xposition Yposition Zposition " if parent < 0 else ""
    children = [i for i, of in enumerate(rest.parents) if of == bone]
    below = [line for child in children for line in _hierarchy(rest, child, depth + 1)]
    if not children:
        end = rest.tails[bone] - rest.heads[bone]
        below = [f"{indent}  End Site", f"{indent}  {{", f"{indent}    {_offset(end)}", f"{indent}  }}"]
    return [
        f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {rest.names[bone]}",
        f"{indent}{{",
        f"{indent}  {_offset(offset)}",
        f"{indent}  CHANNELS {6 if position else 3} {position}Zrotation Xrotation Yrotation",
        *below,
        f"{indent}}}",
    ]


def _offset(vector: np.ndarray) -> str:
    return "OFFSET " + " ".join(f"{value:.5f}" for value in _Y_UP @ vector * _CENTIMETRES)


def _rows(motion: armature.Motion) -> np.ndarray:
    """(T, 3 + 3 B) root position in cm, then three angles in degrees for each joint, in the order of the hierarchy."""
    rest = motion.rest
    world, _ = armature.forward(rest, motion.location, motion.rotations)
    turned = _Y_UP @ (world @ np.swapaxes(rest.matrices, -1, -2)) @ _Y_UP.T
    columns = [motion.location @ _Y_UP.T * _CENTIMETRES]
    for bone in _order(rest):
        parent = rest.parents[bone]
        local = turned[:, bone] if parent < 0 else np.swapaxes(turned[:, parent], -1, -2) @ turned[:, bone]
        columns.append(_zxy(local))
    return np.concatenate(columns, axis=1)


def _order(rest: armature.Rest, bone: int = 0) -> list[int]:
    """Bones as the hierarchy lists them: depth first."""
    children = [i for i, parent in enumerate(rest.parents) if parent == bone]
    return [bone, *(found for child in children for found in _order(rest, child))]


def _zxy(matrices: np.ndarray) -> np.ndarray:
    """Angles (T, 3) in degrees about Z, X, Y with R = Rz Rx Ry, each continuous over time."""
    x = np.arcsin(np.clip(matrices[:, 2, 1], -1, 1))
    z = np.arctan2(-matrices[:, 0, 1], matrices[:, 1, 1])
    y = np.arctan2(-matrices[:, 2, 0], matrices[:, 2, 2])
    return np.degrees(np.unwrap(np.stack([z, x, y], axis=-1), axis=0))


def _last_keyed(keyed: np.ndarray) -> np.ndarray:
    """For every frame the latest one with a pose, or the first one before that."""
    latest = np.maximum.accumulate(np.where(keyed, np.arange(len(keyed)), -1))
    return np.where(latest < 0, np.argmax(keyed), latest)
