"""A take's camera as a Blender camera, with the video behind it."""
