"""The commands of `vp3d`, one module per group; `vp3d.cli` puts them together.

Commands import what they need when they run: `vp3d --help` and the server's greeting must not wait for torch.
"""
