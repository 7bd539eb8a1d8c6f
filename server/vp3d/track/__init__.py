"""From people per frame to people over time: identities, gaps, and joints repaired where neighbours allow it."""

from .identify import choose, track
from .repair import fill_gaps
from .tracks import Tracks

__all__ = ["Tracks", "choose", "fill_gaps", "track"]
