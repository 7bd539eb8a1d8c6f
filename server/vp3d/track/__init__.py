"""From people per frame to people over time: identities, gaps, and joints repaired where neighbours allow it."""

from vp3d.track.identify import asked, choose, track
from vp3d.track.repair import fill_gaps
from vp3d.track.tracks import Tracks

__all__ = ["Tracks", "asked", "choose", "fill_gaps", "track"]
