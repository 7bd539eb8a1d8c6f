"""From a person's 2D joints over time to 3D poses."""

from vp3d.lift.lifter import Lifter, load_lifter

__all__ = ["Lifter", "load_lifter"]
