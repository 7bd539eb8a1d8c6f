"""Rigs are told by their names, and failing that by their shape."""

import json

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

import bodies  # noqa: E402

from blender_vp3d.retarget import body, structure, tables  # noqa: E402


def test_all_that_is_promised_is_there():
    assert set(tables.tables()) >= {
        "rigify", "rigify_metarig", "mixamo", "unreal", "vroid", "unity", "makehuman", "biped", "auto_rig_pro",
        "auto_rig_pro_deform", "daz_genesis_8", "daz_genesis_9", "cmu", "bvh", "daz_bvh", "smpl", "smpl_x", "vp3d",
    }  # fmt: skip


@pytest.mark.parametrize("key", sorted(tables.tables()))
def test_a_table_knows_its_own_rig(key):
    table = tables.tables()[key]
    assert set(body.ESSENTIAL) <= set(table.bones)
    names = [name for chain in table.bones.values() for name in chain]
    assert len(set(names)) == len(names)
    extra = ["some", "more", "bones", "Hair.L", "DEF-thing"]
    assert tables.recognise([*extra, *names]) == (key, table.bones)


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("mixamo", "mixamorig:"), ("mixamo", "mixamorig7:"), ("mixamo", "mixamorig_"), ("mixamo", "mixamorig"),
        ("mixamo", ""), ("mixamo", "hero:"), ("biped", "Bip01 "), ("biped", "Bip001 "), ("biped", "Bip01_"),
        ("vroid", "J_Bip_"), ("smpl", "m_avg_"), ("smpl", "f_avg_"), ("character_creator", "CC_Base_"),
    ],
)  # fmt: skip
def test_prefixes(key, prefix):
    bones = {bone: tuple(prefix + name for name in chain) for bone, chain in tables.tables()[key].bones.items()}
    assert tables.recognise(name for chain in bones.values() for name in chain) == (key, bones)


@pytest.mark.parametrize(("spine", "neck"), [(3, 1), (5, 2)])
def test_one_table_serves_both_mannequins(spine, neck):
    names = [name for chain in tables.tables()["unreal"].bones.values() for name in chain]
    left_out = {f"spine_0{n}" for n in range(spine + 1, 6)} | {f"neck_0{n}" for n in range(neck + 1, 3)}
    key, bones = tables.recognise([name for name in names if name not in left_out])
    assert key == "unreal"
    assert (len(bones["spine"]), len(bones["neck"])) == (spine, neck)


def test_someone_without_legs_is_nobody():
    names = [name for bone, chain in tables.tables()["mixamo"].bones.items() if "shin" not in bone for name in chain]
    assert tables.recognise(names) is None


def test_a_preset_comes_back_as_it_was(tmp_path):
    path = tmp_path / "my rig.json"
    bones = {"hips": ("Hüfte",), "spine": ("a", "b"), "thigh.L": ("t",)}
    tables.write(path, "my rig", bones, {"a": (0, 90, 0)})
    back = tables.read(path)
    assert (back.name, back.bones, back.offsets) == ("my rig", bones, {"a": (0.0, 90.0, 0.0)})


@pytest.mark.parametrize(
    "content", ["", "[]", '{"bones": 3}', '{"bones": {"tail": "x"}}', '{"bones": {"hips": [1]}}', "\x00"]
)
def test_a_broken_preset_is_a_sentence(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(tables.TableError, match=r"broken\.json is no mapping of bones: choose"):
        tables.read(path)
    with pytest.raises(tables.TableError, match=r"absent\.json cannot be read"):
        tables.read(tmp_path / "absent.json")


def test_rig_files_are_tidy():
    for path in tables.FOLDER.glob("*.json"):
        assert json.loads(path.read_text())["name"]


def shape_of(armature):
    names = [bone.name for bone in armature.data.bones]
    parents = [names.index(bone.parent.name) if bone.parent else -1 for bone in armature.data.bones]
    return names, parents, np.array([bone.head_local for bone in armature.data.bones])


@pytest.mark.parametrize("shape", [
    bodies.Shape(),
    bodies.Shape(arms_deg=50, legs_deg=8, elbow_deg=20, seed=3),
    bodies.Shape(arms_deg=70, tilt=(-np.pi / 2, 0, 0), scale=0.01, seed=4),
    bodies.Shape(arms_deg=40, tilt=(0, 0, np.pi / 2), tails="sideways", seed=5),
])  # fmt: skip
@pytest.mark.parametrize("key", ["mixamo", "unity", "vp3d", "daz_genesis_8"])
def test_a_body_is_told_by_its_shape(key, shape):
    table = tables.tables()[key]
    numbers = iter(range(1000))
    chains = {bone: tuple(f"b{next(numbers)}" for _ in chain) for bone, chain in table.bones.items()}
    found = structure.recognise(*shape_of(bodies.make("nobody", chains, shape)))
    assert found is not None
    for bone in body.BONES:
        if body.kind(bone) in (*body.FINGERS, "root", "neck", "head", "toe"):
            continue
        if body.kind(bone) in ("foot", "shoulder"):  # a chain of two is told as its first bone
            assert found[bone][0] == chains[bone][0], bone
        else:
            assert found.get(bone) == chains.get(bone), bone
    assert found["head"] == chains["head"]


def test_no_body_is_told_by_no_shape():
    assert structure.recognise(["a"], [-1], np.zeros((1, 3))) is None
    line = np.stack([np.zeros(20), np.zeros(20), np.arange(20.0)], -1)
    assert structure.recognise([str(n) for n in range(20)], list(range(-1, 19)), line) is None
    rng = np.random.default_rng(0)
    parents = [-1, *(int(rng.integers(0, n)) for n in range(1, 60))]
    assert structure.recognise([str(n) for n in range(60)], parents, rng.standard_normal((60, 3))) is None
