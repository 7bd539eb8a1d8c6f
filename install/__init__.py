"""Builds the environments that VP3D Mocap runs in, and the extension zip; runs the demo and the tests.

Standard library only: it runs on a bare Python 3.10 or newer, and as a child of Blender.
"""
