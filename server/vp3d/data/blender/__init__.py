"""What runs in Blender's Python: NumPy, the standard library, and bpy in `render` and `rocketbox` only."""
