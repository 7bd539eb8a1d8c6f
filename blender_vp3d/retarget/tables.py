"""Rigs as data: which of a rig's bones is which canonical bone, and how a rig is recognised. No bpy in here.

One JSON file a rig in `rigs/`. "bones" maps canonical bones to names, a name or a chain from the body outward; "{side}"
stands for the two words in "sides". Names that a rig lacks are skipped, so one table serves all versions of a rig. A
preset that a user saves has the same form, with both sides written out, and may turn bones by "offsets".
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from . import body

FOLDER = Path(__file__).parent / "rigs"

Bones = dict[str, tuple[str, ...]]
"""Canonical bone → a rig's bones, from the body outward."""


class TableError(Exception):
    """A preset that cannot be used; the message is a sentence for the user."""


@dataclass(frozen=True)
class Switch:
    """A custom property that has to have a value for the rig to follow the mapped bones."""

    bone: str
    property: str
    value: float


@dataclass(frozen=True)
class Inverse:
    """A limb's controls for inverse kinematics.

    Attributes:
        end: canonical bone at the limb's end.
        control: bone that carries the end.
        pole: bone that the knee or elbow points to.
        follows: bone that both are carried by.
        switches: what makes the limb follow these, in place of other values of the same properties.
    """

    end: str
    control: str
    pole: str
    follows: str
    switches: tuple[Switch, ...]


@dataclass(frozen=True)
class Table:
    """A rig as data.

    Attributes:
        name: what users call the rig.
        bones: canonical bone → names of the rig.
        prefix: regular expression of what may stand before every name.
        parents: bone → bone whose rotation it inherits, where constraints make that another one than its parent;
            "" for none.
        bends: bone → bone at whose head half of its turn becomes the whole: what hangs on it is carried by both.
        switches: what has to be set, and is keyed at the first frame.
        inverse: limbs that can follow inverse kinematics instead.
        offsets: bone → Euler XYZ degrees about its own axes.
        note: a sentence for whoever picks such a rig, or "".
    """

    name: str
    bones: Bones
    prefix: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    bends: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()
    inverse: tuple[Inverse, ...] = ()
    offsets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    note: str = ""

    def find(self, names: Iterable[str]) -> Bones:
        """The table's bones under the names that a rig with bones `names` has for them; absent ones left out."""
        pattern = re.compile(f"^(?:{self.prefix})", re.IGNORECASE)
        actual = {_plain(pattern.sub("", name)): name for name in names}
        found = {
            bone: tuple(actual[_plain(name)] for name in chain if _plain(name) in actual)
            for bone, chain in self.bones.items()
        }
        return {bone: chain for bone, chain in found.items() if chain}


@cache
def tables() -> Mapping[str, Table]:
    """All rigs that are known, by the names of their files."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.json"))}


def recognise(names: Iterable[str]) -> tuple[str, Bones] | None:
    """The table, and its bones in it, that knows most of a rig's bones; None where no table knows the essential ones.

    Args:
        names: the rig's bones.
    """
    names = tuple(names)
    best, most = None, (False, 0, 0.0)
    for key, table in tables().items():
        found = table.find(names)
        if not all(bone in found for bone in body.ESSENTIAL):
            continue
        known = sum(map(len, found.values()))
        # a rig with controls has its deforming bones too, and perhaps more of them
        score = (bool(table.switches), known, known / sum(map(len, table.bones.values())))
        if score > most:
            best, most = (key, found), score
    return best


def read(path: Path) -> Table:
    """A table or preset from its file; raises TableError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        bones = _expand(content["bones"], content.get("sides", ()))
        return Table(
            name=str(content.get("name", path.stem)),
            bones=bones,
            prefix=content.get("prefix", ""),
            parents=_expand_pairs(content.get("parents", {}), content.get("sides", ())),
            bends=content.get("bends", {}),
            switches=tuple(
                Switch(bone, switch["property"], float(switch["value"]))
                for switch in content.get("switches", ())
                for bone in _both(switch["bone"], content.get("sides", ()))
            ),
            inverse=tuple(
                Inverse(
                    end=limb["end"].replace("{side}", word),
                    control=limb["control"].replace("{side}", word),
                    pole=limb["pole"].replace("{side}", word),
                    follows=limb["follows"],
                    switches=tuple(
                        Switch(limb["settings"].replace("{side}", word), name, float(value))
                        for name, value in content["ik_settings"].items()
                    ),
                )
                for limb in content.get("ik", ())
                for word in content["sides"]
            ),
            offsets={bone: tuple(map(float, angles)) for bone, angles in content.get("offsets", {}).items()},
            note=content.get("note", ""),
        )
    except OSError as error:
        raise TableError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path.name} is no mapping of bones: choose a file that was saved here.") from error


def write(path: Path, name: str, bones: Bones, offsets: Mapping[str, Iterable[float]]) -> None:
    """Save a mapping as a preset; raises TableError."""
    content: dict[str, Any] = {"name": name, "bones": {bone: list(chain) for bone, chain in bones.items()}}
    content["offsets"] = {bone: list(angles) for bone, angles in offsets.items()}
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise TableError(f"{path.name} cannot be written: {error.strerror or error}.") from error


def _plain(name: str) -> str:
    return name.rpartition(":")[2].replace(" ", "_").casefold()


def _expand(bones: Mapping[str, Any], sides: Iterable[str]) -> Bones:
    expanded: Bones = {}
    for bone, names in bones.items():
        chain = (names,) if isinstance(names, str) else tuple(names)
        if not all(isinstance(name, str) for name in chain):
            raise ValueError(bone)
        if bone in body.BONES:
            expanded[bone] = chain
        else:
            for letter, word in zip("LR", sides, strict=True):
                expanded[f"{bone}.{letter}"] = tuple(name.replace("{side}", word) for name in chain)
    if unknown := [bone for bone in expanded if bone not in body.BONES]:
        raise ValueError(unknown)
    return expanded


def _both(text: str, sides: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.replace("{side}", word) for word in sides) if "{side}" in text else (text,)


def _expand_pairs(pairs: Mapping[str, str], sides: Iterable[str]) -> dict[str, str]:
    return {
        bone.replace("{side}", word): parent.replace("{side}", word)
        for bone, parent in pairs.items()
        for word in (sides if "{side}" in bone else ("",))
    }
