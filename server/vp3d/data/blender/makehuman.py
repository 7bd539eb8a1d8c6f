"""MakeHuman's base mesh (CC0) as figures: any adult shape, dressed from the helper geometry that comes with it."""

import gzip
import json
import zipfile
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from . import figures
from .figures import BONES, EYE, HAIR, HEAD, SKIN, TOP, Figure

_TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) * 0.1
"""The files count in decimetres, Y up, facing +Z."""

# bone: joint cube where it starts, and its name in the rig "game engine" whose weights are used
_SIDED = {
    "clavicle": ("clavicle", "clavicle"),
    "upper_arm": ("shoulder", "upperarm"),
    "forearm": ("elbow", "lowerarm"),
    "hand": ("hand", "hand"),
    "thigh": ("upper-leg", "thigh"),
    "shin": ("knee", "calf"),
    "foot": ("ankle", "foot"),
    "toe": ("foot-1", "ball"),
}
_RIG = {
    "pelvis": ("joint-pelvis", "pelvis"),
    "spine": ("joint-spine-4", "spine_01"),
    "upper_spine": ("joint-spine-3", "spine_02"),
    "chest": ("joint-spine-2", "spine_03"),
    "neck": ("joint-neck", "neck_01"),
    "head": ("joint-head", "head"),
} | {
    f"{side}_{bone}": (f"joint-{side[0]}-{cube}", f"{name}_{side[0]}")
    for side in ("left", "right")
    for bone, (cube, name) in _SIDED.items()
}
# Medians of a detector's joints against the rig's, over renders.
_SEEN = figures.Seen(
    {"shoulder": (-0.027, 0.012, 0.040), "hip": (-0.010, -0.004, 0.042)},
    {"elbow": -0.024, "wrist": -0.005, "knee": -0.026, "ankle": -0.033},
)
_EYE_BACK, _EAR_INWARD = 0.015, 0.015  # m; from the foremost of the eye's ball, and from the ear's rim
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_BODY_END = 13380
_RACES = ("african", "asian", "caucasian")


class MakeHuman:
    """The archive, read once; `figure` makes people of it.

    Raises:
        KeyError, OSError, zipfile.BadZipFile: the archive is not MakeHuman's or is damaged.
    """

    def __init__(self, archive: Path) -> None:
        self._archive = zipfile.ZipFile(archive)
        self._names = {name.split("makehuman/", 1)[-1]: name for name in self._archive.namelist()}
        vertices, polygons = [], []
        for line in self._read("base.obj").decode().splitlines():
            if line.startswith("v "):
                vertices.append([float(word) for word in line.split()[1:4]])
            elif line.startswith("f "):
                polygons.append([int(word.split("/")[0]) - 1 for word in line.split()[1:]])
        self._base = np.array(vertices)
        quads = np.array([polygon if len(polygon) == 4 else polygon + polygon[:1] for polygon in polygons])
        self._triangles = np.concatenate([quads[:, [0, 1, 2]], quads[quads[:, 3] != quads[:, 0]][:, [0, 2, 3]]])
        groups = json.loads(self._read("mesh_metadata/basemesh_vertex_groups.json"))
        self._groups = {
            name: np.concatenate([np.arange(first, last + 1) for first, last in ranges])
            for name, ranges in groups.items()
        }
        self._bones, self._weights = self._skinning()
        self._targets: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.dominant = self._bones[:, 0]

    def figure(self, seed: int) -> Figure:
        """The person with this number: shape, sex and proportions; the same number is always the same person."""
        rng = np.random.default_rng([20001, seed])
        female = bool(rng.random() < 0.5)
        base = self._shape(rng, female)
        stature = np.clip(rng.normal(1.63 if female else 1.76, 0.075), 1.45, 2.0)
        body = base[:_BODY_END]
        vertices = (base @ _TO_BLENDER.T) * stature / np.ptp(body[:, 1] * 0.1)
        vertices[:, 2] -= vertices[:_BODY_END, 2].min()
        heads = np.array([vertices[self._groups[_RIG[bone][0]]].mean(0) for bone in BONES])
        labels = figures.joint_labels(
            heads, self._face(vertices), vertices[:_BODY_END], self.dominant[:_BODY_END], _SEEN
        )
        parts = self._parts
        keep = parts >= 0
        return Figure(
            f"makehuman-{seed:04d}",
            vertices,
            self._triangles[keep],
            parts[keep],
            heads,
            self._bones,
            self._weights,
            labels,
            female,
        )

    @property
    def helpers(self) -> dict[str, np.ndarray]:
        """Vertex indices of the garments and the hair that lie about the body."""
        return {name: self._groups[f"helper-{name}"] for name in ("tights", "skirt", "hair")}

    @cached_property
    def _parts(self) -> np.ndarray:
        """Material of each face before it is dressed; -1 for what is not shown."""
        first = self._triangles[:, 0]
        materials = np.full(len(first), -1)
        body = first < _BODY_END
        materials[body] = SKIN
        materials[body & (self.dominant[first] == BONES.index("head"))] = HEAD
        for name, material in (("tights", TOP), ("skirt", TOP), ("hair", HAIR), ("l-eye", EYE), ("r-eye", EYE)):
            materials[np.isin(first, self._groups[f"helper-{name}"])] = material
        return materials

    def _face(self, vertices: np.ndarray) -> dict[str, np.ndarray]:
        eyes = {side: vertices[self._groups[f"helper-{side[0]}-eye"]] for side in ("left", "right")}
        face = {
            f"{side}_eye": eye.mean(0) * (1, 0, 1) + (0, eye[:, 1].min() + _EYE_BACK, 0) for side, eye in eyes.items()
        }
        head = vertices[:_BODY_END][self.dominant[:_BODY_END] == BONES.index("head")]
        mouth = vertices[self._groups["joint-mouth"]].mean(0)
        eye_height = face["left_eye"][2]
        middle = head[(np.abs(head[:, 0]) < 0.015) & (head[:, 2] > mouth[2] + 0.01) & (head[:, 2] < eye_height)]
        face["nose"] = middle[middle[:, 1].argmin()]
        beside = head[(head[:, 2] > face["nose"][2] - 0.02) & (head[:, 2] < eye_height + 0.02)]
        face["left_ear"] = beside[beside[:, 0].argmax()] - (_EAR_INWARD, 0, 0)
        face["right_ear"] = beside[beside[:, 0].argmin()] + (_EAR_INWARD, 0, 0)
        return face

    def _skinning(self) -> tuple[np.ndarray, np.ndarray]:
        table = json.loads(self._read("rigs/standard/weights.game_engine.json"))["weights"]
        bone_of = {name: BONES.index(bone) for bone, (_, name) in _RIG.items()}
        for side in ("left", "right"):
            hand = BONES.index(f"{side}_hand")
            bone_of |= {f"{finger}_{k:02d}_{side[0]}": hand for finger in _FINGERS for k in (1, 2, 3)}
        listed = []
        for name, entries in table.items():
            if name in bone_of and entries:
                pairs = np.array(entries, float)
                listed.append((bone_of[name], pairs[:, 0].astype(int), pairs[:, 1]))
        return figures.collapse_weights(listed, len(self._base))

    def _shape(self, rng: np.random.Generator, female: bool) -> np.ndarray:
        """The base mesh (V, 3) with a random adult's targets added, the product rule of MakeHuman's macro details."""
        sex = "female" if female else "male"
        old = rng.beta(0.8, 2.5)
        ages = {"young": 1 - old, "old": old}
        muscle = _three_way("muscle", rng.beta(2, 2))
        weight = _three_way("weight", rng.beta(2, 2.4))
        races = dict(zip(_RACES, rng.dirichlet([0.5, 0.5, 0.5]), strict=True))
        height, proportions = rng.uniform(-0.6, 0.6, 2)
        tall = "maxheight" if height > 0 else "minheight"
        ideal = "idealproportions" if proportions > 0 else "uncommonproportions"
        shape = self._base.copy()
        for (age, a), (race, r) in product(ages.items(), races.items()):
            self._add(shape, f"{race}-{sex}-{age}", a * r)
        for (age, a), (m_name, m), (w_name, w) in product(ages.items(), muscle.items(), weight.items()):
            build = f"{sex}-{age}-{m_name}-{w_name}"
            self._add(shape, f"universal-{build}", a * m * w)
            self._add(shape, f"height/{build}-{tall}", a * m * w * abs(height))
            self._add(shape, f"proportions/{build}-{ideal}", a * m * w * abs(proportions))
        return shape

    def _add(self, shape: np.ndarray, name: str, share: float) -> None:
        if share > 0.01:
            if name not in self._targets:
                self._targets[name] = self._target(name)
            indices, offsets = self._targets[name]
            shape[indices] += share * offsets

    def _target(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        text = gzip.decompress(self._read(f"targets/macrodetails/{name}.target.gz")).decode()
        while text.startswith("#"):
            text = text.partition("\n")[2]
        table = np.fromstring(text, sep=" ").reshape(-1, 4)
        return table[:, 0].astype(int), table[:, 1:]

    def _read(self, name: str) -> bytes:
        return self._archive.read(self._names[name])


def _three_way(name: str, value: float) -> dict[str, float]:
    """Shares of the targets min, average and max at a value from 0 to 1."""
    if value < 0.5:
        return {f"min{name}": 1 - 2 * value, f"average{name}": 2 * value}
    return {f"average{name}": 2 - 2 * value, f"max{name}": 2 * value - 1}
