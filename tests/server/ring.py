"""Cameras in a ring that look at the origin."""

import numpy as np
import torch

K = np.array([[1100.0, 0, 500], [0, 1100, 480], [0, 0, 1]])


def ring(angles: list[float]) -> torch.Tensor:
    """Camera matrices (V, 3, 4), float64, 4 m from the origin and 1.5 m above it, at these angles in degrees."""
    matrices = []
    for angle in np.radians(angles):
        position = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.5])
        z = -position / np.linalg.norm(position)
        x = np.cross(z, [0, 0, 1.0])
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        matrices.append(K @ np.c_[R, -R @ position])
    return torch.tensor(np.array(matrices))
