"""From a person's 2D joints over time to 3D poses."""

from vp3d.lift.adaptation import Adapted, Appearance, adapt
from vp3d.lift.lifter import Lifter, load_lifter, load_weights

__all__ = ["Adapted", "Appearance", "Lifter", "adapt", "load_lifter", "load_weights"]
