"""Properties of a camera over time."""

from collections.abc import Mapping

import bpy
import numpy as np

from .. import animation
from ..animation import Channel


def animate(
    datablock: bpy.types.ID, name: str, group: str, frames: np.ndarray, values: Mapping[str, np.ndarray]
) -> None:
    """Give properties their values: keys for one that changes, none for one that does not.

    Args:
        datablock: what has the properties.
        name: name of its action, where that has to be made.
        group: of the curves.
        frames: (K,) scene frames.
        values: (K,) or (K, N) by property; one row where nothing changes.
    """
    for path, value in values.items():
        setattr(datablock, path, value[0])
        if np.ptp(value, axis=0).max() > 0:
            columns = value.reshape(len(frames), -1).T
            keys = [Channel(path, i, group, column) for i, column in enumerate(columns)]
            animation.write(datablock, name, frames, np.zeros(len(frames), bool), keys)
        else:
            animation.clear(datablock, {path})
