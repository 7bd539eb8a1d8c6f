"""Damage to files, the same for the same seed: what disks, networks and wicked people do to them."""

import io
import json
import random
import zipfile
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 10**15, 1e308, -0.5, "", "x" * 5000, "../../../../etc/passwd", "C:\\nul", "\ud800",
    "\0", "<script>alert(1)</script>", "[exec touch /tmp/x]", [], [[]], {}, {"a": []}, [None] * 40, [10**9] * 4,
)  # fmt: skip


def damage(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Bytes with bits flipped, cut short, spliced with those of `other`, or pieces blanked, moved or doubled."""
    kind = rng.choice(("flips", "flips", "flips", "cut", "splice", "blank", "insert", "remove", "double"))
    data = bytearray(content)
    at, length = rng.randrange(len(data)), rng.choice((1, 4, 64, 1000))
    match kind:
        case "flips":
            for _ in range(rng.choice((1, 2, 8, 64))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "cut":
            del data[at:]
        case "splice":
            data[at:] = other[rng.randrange(len(other)) :]
        case "blank":
            data[at : at + length] = bytes(len(data[at : at + length]))
        case "insert":
            data[at:at] = rng.randbytes(length)
        case "remove":
            del data[at : at + length]
        case "double":
            data[at:at] = data[at : at + length]
    return bytes(data)


def damage_zip(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """A zip whose checksums are right, but whose members are damaged, of the other zip, missing or doubled; or as
    `damage` leaves it."""
    if rng.random() < 0.5:
        return damage(content, other, rng)
    members, others = _members(content), _members(other)
    name = rng.choice(sorted(members))
    match rng.choice(("json", "json", "bytes", "member", "missing", "twice")):
        case "json":
            name = next((each for each in members if each.endswith(".json")), name)
            members[name] = json.dumps(damage_json(json.loads(members[name]), rng)).encode()
        case "bytes":
            members[name] = damage(members[name], others.get(name) or b"x", rng)
        case "member":
            members[name] = others[rng.choice(sorted(others))]
        case "missing":
            del members[name]
        case "twice":
            members[f"../{name}"] = members[name]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return made.getvalue()


def damage_json(document: Any, rng: random.Random) -> Any:
    """The document with one to three of its values replaced, removed or put elsewhere."""
    document = deepcopy(document)
    for _ in range(rng.choice((1, 1, 3))):
        holder, key = rng.choice(_places(document) or [({"": document}, "")])
        match rng.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1:
                other, elsewhere = rng.choice(_places(document) or [({"": document}, "")])
                holder[key] = deepcopy(other[elsewhere])
            case _:
                holder[key] = deepcopy(rng.choice(HOSTILE))
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Containers and keys of all values in a document."""
    found, waiting = [], [document]
    while waiting:
        holder = waiting.pop()
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, value in pairs:
            found.append((holder, key))
            waiting.append(value)
    return found


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pick(bases: Sequence[bytes], rng: random.Random) -> tuple[bytes, bytes]:
    """A file to damage and another to splice it with."""
    return rng.choice(bases), rng.choice(bases)
