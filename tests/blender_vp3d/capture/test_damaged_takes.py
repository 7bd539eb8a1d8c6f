"""Damaged takes through Blender's own operators: each is imported and applied, or refused in a sentence."""

import random

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from damage import damage_json, damage_zip, pick  # noqa: E402
from takes import walker  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.common import take as takes  # noqa: E402

REPORT = {
    "people": [{"id": 1, "frames": 8, "confidence": 0.9}],
    "detector": {"name": "a", "description": "b", "licence": "c"},
    "lens": {"note": "a lens", "focal_sigma": 0.1},
    "solve": {"camera": {"height_m": 1.4}},
    "timings": {"detect": {"seconds": 1.0, "frames": 8, "cached": False}},
    "warnings": ["careful"],
    "views": [],
}


@pytest.mark.parametrize("tries", [40, pytest.param(300, marks=pytest.mark.faults)])
def test_damaged_takes_are_imported_or_refused_in_a_sentence(tries, tmp_path, monkeypatch):
    monkeypatch.setenv("VP3D_HOME", str(tmp_path / "home"))
    whole = walker(frames=8)
    whole.report = REPORT
    takes.save(whole, tmp_path / "whole.vp3d")
    content = (tmp_path / "whole.vp3d").read_bytes()
    blender_vp3d.register()
    applied = refused = 0
    try:
        for number in range(tries):
            rng = random.Random(number)
            path = tmp_path / f"{number}.vp3d"
            if number % 2:
                described = walker(frames=8)
                described.report = damage_json(REPORT, rng)
                described.video = damage_json(whole.video, rng)
                try:
                    takes.save(described, path)
                except (TypeError, UnicodeEncodeError):
                    continue
            else:
                path.write_bytes(damage_zip(*pick([content], rng), rng))
            try:
                assert bpy.ops.vp3d.import_take(filepath=str(path)) == {"FINISHED"}
                assert bpy.ops.vp3d.apply_take() == {"FINISHED"}
                applied += 1
            except RuntimeError as error:
                said = str(error)
                assert "Traceback" not in said and said.strip().endswith("."), f"{number}: {said}"
                refused += 1
    finally:
        blender_vp3d.unregister()
    assert applied and refused
