"""What the server and the Blender add-on must agree on: joint names, take files, messages, joints to bone rotations.

Needs only numpy and the standard library, since it also runs inside Blender. The folder exists twice, byte for byte:
`server/vp3d/common` and `blender_vp3d/common`. `tests/test_common.py` compares them; edit one, copy it over the other.
"""
