"""Registering leaves nothing behind."""

import sys
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module")

from extension_life import traces  # noqa: E402
from processes import alive  # noqa: E402

import blender_vp3d  # noqa: E402
from blender_vp3d.backend.client import Server  # noqa: E402
from blender_vp3d.backend.environment import Environment, State  # noqa: E402
from blender_vp3d.backend.job import Job  # noqa: E402
from blender_vp3d.capture import running  # noqa: E402

PEER = Path(__file__).parent / "backend" / "peer.py"


def test_ten_times_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        running.session, "_start_server", lambda found: Server(found, [sys.executable, "-u", str(PEER), "slow"])
    )
    monkeypatch.setattr(running.session, "_may_start_at", 0.0)
    assert traces() == []
    for turn in range(10):
        blender_vp3d.register()
        assert {"class VP3D_PT_capture", "property Scene.vp3d", "operator capture"} <= set(traces())
        if turn in (0, 9):
            running.session.start(Job(tmp_path / "a.mp4", tmp_path / "a.vp3d", {}), Environment(tmp_path, State.READY))
            running.session._may_start_at = 0.0
            running.tick()
            server = running.session.server.pid
            assert alive(server)
        blender_vp3d.unregister()
        assert traces() == []
        assert not alive(server)
