"""Motion capture files: BVH, and Acclaim's ASF (skeleton) with AMC (motion).

Both readers run the forward kinematics and return positions and orientations of every joint, so nothing downstream
knows a file format. Sources: the Biovision BVH layout as Meredith and Maddock describe it ("Motion Capture File
Formats Explained", 2001), and Acclaim's own description of ASF/AMC in the same paper.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vp3d.errors import UserError

CMU_UNIT = 0.0254 / 0.45
"""CMU's ASF files count in inches divided by 0.45 (mocap.cs.cmu.edu/faqs.php): metres per unit."""


@dataclass(frozen=True)
class Motion:
    """One recording.

    Attributes:
        joints: joint names, in array order.
        positions: (T, J, 3), in the file's unit of length.
        rotations: (T, J, 3, 3), each joint's orientation in the world.
        fps: frame rate the file states, Hz; None where it states none.
    """

    joints: tuple[str, ...]
    positions: np.ndarray
    rotations: np.ndarray
    fps: float | None = None

    def index(self, joint: str) -> int:
        """Position of a joint by name; raises ValueError for a name the recording does not have."""
        return self.joints.index(joint)


def read_bvh(text: str, name: str = "the BVH file") -> Motion:
    """Read a BVH file; end sites and the namespaces of joints are left out.

    Raises:
        UserError: the text is not BVH or is cut short.
    """
    header, marker, motion = text.partition("MOTION")
    if "HIERARCHY" not in header or not marker:
        raise UserError(f"{name} is not a BVH motion file.", "Choose a file that starts with HIERARCHY.")
    joints: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    stack: list[int] = []
    in_end_site = False
    tokens = iter(header.split())
    try:
        for token in tokens:
            if token in ("ROOT", "JOINT"):
                joints.append(next(tokens).rpartition(":")[2])
                parents.append(stack[-1] if stack else -1)
                channels.append([])
                stack.append(len(joints) - 1)
            elif token == "End":
                in_end_site = True
            elif token == "}":
                if in_end_site:
                    in_end_site = False
                else:
                    stack.pop()
            elif token == "OFFSET":
                offset = [float(next(tokens)) for _ in range(3)]
                if not in_end_site:
                    offsets.append(offset)
            elif token == "CHANNELS":
                channels[-1] = [next(tokens) for _ in range(int(next(tokens)))]
        lines = motion.split("\n", 3)
        frame_count, seconds = int(lines[1].split(":")[1]), float(lines[2].split(":")[1])
        width = sum(map(len, channels))
        values = np.array(lines[3].split(), dtype=np.float64).reshape(frame_count, width)
    except (StopIteration, IndexError, ValueError) as error:
        raise UserError(f"{name} is cut short or damaged.", "Copy it again from where it came.") from error

    positions = np.zeros((frame_count, len(joints), 3))
    rotations = np.zeros((frame_count, len(joints), 3, 3))
    column = 0
    for j, names in enumerate(channels):
        mine = values[:, column : column + len(names)]
        column += len(names)
        local = np.tile(np.asarray(offsets[j]), (frame_count, 1))
        for axis, letter in enumerate("XYZ"):
            if f"{letter}position" in names:
                local[:, axis] = mine[:, names.index(f"{letter}position")]
        turns = [i for i, channel in enumerate(names) if channel.endswith("rotation")]
        order = "".join(names[i][0] for i in turns)
        rotation = Rotation.from_euler(order, mine[:, turns], degrees=True).as_matrix() if turns else np.eye(3)[None]
        parent = parents[j]
        if parent < 0:
            positions[:, j], rotations[:, j] = local, rotation
        else:
            positions[:, j] = positions[:, parent] + np.einsum("tij,tj->ti", rotations[:, parent], local)
            rotations[:, j] = rotations[:, parent] @ rotation
    return Motion(tuple(joints), positions, rotations, 1 / seconds if seconds > 0 else None)


def read_amc(asf: str, amc: str, name: str = "the AMC file") -> Motion:
    """Read an ASF skeleton with an AMC motion; a bone's position is its far end, the root's is the root itself.

    Raises:
        UserError: one of the two texts is not what it should be.
    """
    try:
        return _pose(*_read_asf(asf), _read_amc_frames(amc))
    except (IndexError, KeyError, ValueError) as error:
        raise UserError(f"{name} or its skeleton is damaged.", "Copy both again from where they came.") from error


@dataclass(frozen=True)
class _Bone:
    direction: np.ndarray
    length: float
    axis: tuple[float, ...]
    freedom: str


def _pose(bones: dict[str, _Bone], parents: dict[str, str], frames: list[dict[str, list[float]]]) -> Motion:
    joints = ("root", *bones)
    positions = np.zeros((len(frames), len(joints), 3))
    rotations = np.zeros((len(frames), len(joints), 3, 3))
    root = np.array([frame["root"] for frame in frames])
    positions[:, 0] = root[:, :3]
    rotations[:, 0] = Rotation.from_euler("xyz", root[:, 3:], degrees=True).as_matrix()
    for j, (name, bone) in enumerate(bones.items(), start=1):
        angles = np.zeros((len(frames), 3))
        if bone.freedom:
            angles[:, ["xyz".index(letter) for letter in bone.freedom]] = [frame[name] for frame in frames]
        rest = Rotation.from_euler("xyz", bone.axis, degrees=True)
        local = rest * Rotation.from_euler("xyz", angles, degrees=True) * rest.inv()
        parent = joints.index(parents[name])
        rotations[:, j] = rotations[:, parent] @ local.as_matrix()
        positions[:, j] = positions[:, parent] + rotations[:, j] @ (bone.direction * bone.length)
    return Motion(joints, positions, rotations)


def _read_asf(text: str) -> tuple[dict[str, _Bone], dict[str, str]]:
    bones: dict[str, _Bone] = {}
    parents: dict[str, str] = {}
    entry: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0].startswith(":"):
            section = words[0]
        elif section == ":bonedata":
            if words[0] == "begin":
                entry = {}
            elif words[0] == "end":
                bones[entry["name"][0]] = _Bone(
                    np.array(entry["direction"], float),
                    float(entry["length"][0]),
                    tuple(float(angle) for angle in entry["axis"][:3]),
                    "".join(freedom[1] for freedom in entry.get("dof", [])),
                )
            else:
                entry[words[0]] = words[1:]
        elif section == ":hierarchy" and words[0] not in ("begin", "end"):
            parents.update(dict.fromkeys(words[1:], words[0]))
    if not bones:
        raise ValueError("no bones")
    depth = {"root": 0}
    while pending := [bone for bone in bones if bone not in depth]:
        reached = {bone: depth[parents[bone]] + 1 for bone in pending if parents[bone] in depth}
        if not reached:
            raise ValueError("a bone has no parent")
        depth.update(reached)
    return {name: bones[name] for name in sorted(bones, key=depth.__getitem__)}, parents


def _read_amc_frames(text: str) -> list[dict[str, list[float]]]:
    frames: list[dict[str, list[float]]] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif frames and words:
            frames[-1][words[0]] = [float(word) for word in words[1:]]
    if not frames:
        raise ValueError("no frames")
    return frames
