"""The lift stage: a person's 2D joints over time in, root-relative 3D poses out."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import Akima1DInterpolator

from vp3d import models
from vp3d.common.skeletons import BODY_21, SKELETONS
from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.lift.checkpoint import Checkpoint, load
from vp3d.lift.conventions import CONVENTIONS
from vp3d.lift.model import TemporalModel

CHUNK = 256
"""Frames lifted at a time, which bounds memory; results do not depend on it."""

_FEWEST_JOINTS = 4
"""With fewer joints in a frame nobody is there."""
_OUTSIDE = 0.3
"""Factor on the confidence of joints outside the image: a detector can only guess those."""
_RATE_TOLERANCE = 1.4
"""Frame rates within this factor of the training data's are lifted as they are; training varies the speed by 1.5."""


class Lifter:
    """A trained network with the convention it was trained in.

    Attributes:
        name: of the weights file.
        digest: hexadecimal sha256 of the weights, for cache keys.
        licence: of the weights.
        commercial: whether commercial work may use them.
        receptive_field: frames behind one pose, at `fps`.
        fps: frame rate of the training data, Hz; clips of a very different rate are resampled.
        has_trajectory: whether `trajectory` works.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, device: str = "cpu", flip: bool = True) -> None:
        self.name = name
        self.digest = _digest(checkpoint)
        self.licence = checkpoint.licence
        self.commercial = checkpoint.commercial
        self.fps = checkpoint.fps
        self.architecture = checkpoint.architecture
        self.receptive_field = self.architecture.receptive_field
        self._convention = CONVENTIONS[checkpoint.convention]
        self._flip = flip
        self._device = torch.device(device)
        self._inputs = SKELETONS[checkpoint.input_joints]
        self._outputs = SKELETONS[checkpoint.output_joints]
        self._take = [BODY_21.index(joint) for joint in self._inputs.joints]
        self._pose = checkpoint.build(strided=self._convention.windowed).to(self._device)
        trajectory = checkpoint.build_trajectory(strided=self._convention.windowed)
        self._trajectory = None if trajectory is None else trajectory.to(self._device)
        self.has_trajectory = trajectory is not None

    def lift(
        self, joints: np.ndarray, confidence: np.ndarray, K: np.ndarray, image_size: tuple[int, int], fps: float
    ) -> np.ndarray:
        """3D poses of one person.

        Args:
            joints: (T, 21, 2) px in the order of `BODY_21`, lens distortion removed; NaN where missing.
            confidence: (T, 21), 0 to 1.
            K: (3, 3) or (T, 3, 3) camera matrix.
            image_size: width and height, px.
            fps: frames per second of the clip.

        Returns:
            (T, 17, 3) m in camera axes, the hip at 0; NaN in frames where the person is absent.

        Raises:
            ValueError: shapes that do not fit, a K that is no camera, or a frame rate that is not positive.
        """
        poses = self._run(self._pose, joints, confidence, K, image_size, fps)
        return (poses - poses[:, :1]).astype(np.float32)

    def trajectory(
        self, joints: np.ndarray, confidence: np.ndarray, K: np.ndarray, image_size: tuple[int, int], fps: float
    ) -> np.ndarray:
        """(T, 3) m, where the hip is in camera axes; arguments as for `lift`.

        Raises:
            ValueError: as for `lift`, or the weights have no trajectory network.
        """
        if self._trajectory is None:
            raise ValueError(f"{self.name} has no trajectory network")
        return self._run(self._trajectory, joints, confidence, K, image_size, fps)[:, 0].astype(np.float32)

    def _run(
        self,
        model: TemporalModel,
        joints: np.ndarray,
        confidence: np.ndarray,
        K: np.ndarray,
        image_size: tuple[int, int],
        fps: float,
    ) -> np.ndarray:
        count = len(joints)
        if joints.shape != (count, len(BODY_21), 2) or confidence.shape != (count, len(BODY_21)):
            raise ValueError(
                f"expected (T, 21, 2) joints and (T, 21) confidence, got {joints.shape}, {confidence.shape}"
            )
        if not fps > 0:
            raise ValueError(f"expected a positive frame rate, got {fps}")
        rays = to_rays(joints[:, self._take], K)
        outside = ((joints[:, self._take] < 0) | (joints[:, self._take] > np.asarray(image_size) - 1)).any(-1)
        found = np.isfinite(rays).all(-1)
        weight = np.where(found, np.clip(confidence[:, self._take], 0, 1), 0) * np.where(outside, _OUTSIDE, 1)
        present = (weight > 0).sum(-1) >= _FEWEST_JOINTS
        poses = np.full((count, model.architecture.joints, 3), np.nan)
        if not present.any():
            return poses
        if 1 / _RATE_TOLERANCE <= fps / self.fps <= _RATE_TOLERANCE:
            lifted = self._average_flipped(model, rays, weight)
        else:
            times = np.arange(0, count - 1 + fps / self.fps, fps / self.fps)
            lifted = self._average_flipped(model, *resample_joints(rays, weight, times))
            # Akima's spline is local, so a bad pose disturbs only its neighbours.
            if len(times) > 1:
                lifted = Akima1DInterpolator(times, lifted, axis=0)(np.arange(count))
            else:
                lifted = np.repeat(lifted, count, axis=0)
        poses[present] = lifted[present]
        return poses

    def _average_flipped(self, model: TemporalModel, rays: np.ndarray, weight: np.ndarray) -> np.ndarray:
        poses = self._predict(model, rays, weight)
        if not self._flip:
            return poses
        order = list(self._inputs.mirrored)
        flipped = self._predict(model, rays[:, order] * (-1, 1), weight[:, order]) * (-1, 1, 1)
        if model.architecture.joints == len(self._outputs):
            flipped = flipped[:, list(self._outputs.mirrored)]
        return (poses + flipped) / 2

    def _predict(self, model: TemporalModel, rays: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Poses (T, J, 3) in camera axes; frames beyond the ends are copies of the first and the last."""
        before, after = model.architecture.padding
        frames = np.clip(np.arange(-before, len(rays) + after), 0, len(rays) - 1)
        window = np.arange(model.architecture.receptive_field)
        rays, weight = (torch.from_numpy(values).to(self._device, torch.float32) for values in (rays, weight))
        if not self._convention.windowed:
            features, rotation = self._convention.encode(rays, weight, 0)
        poses = []
        for start in range(0, len(rays), CHUNK):
            own = np.arange(start, min(start + CHUNK, len(rays)))
            if self._convention.windowed:
                seen = frames[own[:, None] + window]
                batch, rotation = self._convention.encode(rays[seen], weight[seen], before)
            else:
                batch = features[frames[own[0] : own[-1] + len(window)]][None]
            with torch.inference_mode():
                output = model(batch).view(len(own), -1, 3)
                if model is self._trajectory:
                    own_frames = batch[:, before] if self._convention.windowed else batch[0, before:][: len(own)]
                    output = output * self._convention.root_units(own_frames)[:, None]
            poses.append((output @ rotation).cpu().numpy())
        return np.concatenate(poses).astype(np.float64)


def to_rays(joints: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Normalised image coordinates (T, J, 2) of pixels (T, J, 2) seen through K, (3, 3) or (T, 3, 3)."""
    K = np.asarray(K, np.float64)
    if K.shape not in ((3, 3), (len(joints), 3, 3)) or not (
        np.isfinite(K).all() and (K[..., [0, 1], [0, 1]] > 0).all()
    ):
        raise ValueError("K is not a camera matrix for these frames")
    homogeneous = np.concatenate([joints, np.ones((*joints.shape[:-1], 1))], -1).astype(np.float64)
    return (homogeneous @ np.linalg.inv(K).swapaxes(-1, -2))[..., :2]


def resample_joints(rays: np.ndarray, weight: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints at other times (in frames): linear interpolation, or a triangular average where frames lie closer than
    times.

    Missing joints have no weight, so a neighbour stands in for them.
    """
    reach = max(1.0, times[1] - times[0]) if len(times) > 1 else 1.0
    offsets = np.arange(-np.ceil(reach), np.ceil(reach) + 1)
    frames = np.round(times)[:, None] + offsets
    share = np.maximum(0, 1 - np.abs(frames - times[:, None]) / reach)
    share[(frames < 0) | (frames > len(rays) - 1)] = 0
    frames = np.clip(frames, 0, len(rays) - 1).astype(int)
    new_weight = (share[:, :, None] * weight[frames]).sum(1)
    points = np.where(weight[..., None] > 0, rays, 0)
    with np.errstate(invalid="ignore"):
        new_rays = (share[:, :, None, None] * weight[frames][..., None] * points[frames]).sum(1) / new_weight[..., None]
    return new_rays, new_weight / share.sum(1)[:, None]


def _digest(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256()
    for weights in (checkpoint.pose, checkpoint.trajectory or {}):
        for name in sorted(weights):
            digest.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def find_weights(path_or_name: str | Path | None = None) -> Path:
    """Where a lifter's weights lie: a file, a name in `vp3d.models.MODELS`, or None for the bundled weights.

    Raises:
        UserError: there are no such weights.
    """
    if path_or_name is None:
        path_or_name = "lifter"
    path = models.require(str(path_or_name)) if str(path_or_name) in models.MODELS else Path(path_or_name)
    if not path.is_file():
        raise UserError(
            f"There are no lifter weights {path}.",
            f"Name a file, or one of: {', '.join(row.name for row in models.MODELS.values() if row.stage == 'lift')}.",
        )
    return path


def load_weights(path_or_name: str | Path | None = None) -> Checkpoint:
    """A lifter's weights and what must be known to use them; arguments and errors as for `load_lifter`."""
    return load(find_weights(path_or_name))


def load_lifter(path_or_name: str | Path | None = None, device: str = "auto") -> Lifter:
    """Open a lifter.

    Args:
        path_or_name: as for `find_weights`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: no such weights, or a file that does not hold any.
    """
    path = find_weights(path_or_name)
    return Lifter(load(path), path.stem, choose_device(device))
