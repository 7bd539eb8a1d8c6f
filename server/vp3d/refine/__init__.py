"""2D joints and lifted poses to a camera and people in one world."""

from vp3d.refine.lens import Lens, choose_lens
from vp3d.refine.optimise import UNTIL
from vp3d.refine.solver import Solution, Wishes, solve

__all__ = ["UNTIL", "Lens", "Solution", "Wishes", "choose_lens", "solve"]
