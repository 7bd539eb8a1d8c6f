"""Learning from videos without 3D: what is lifted must project back onto the 2D joints it was lifted from.

Source: Pavllo et al. (2019), section 4. A second network of the same architecture says where the root is, so that poses
can be projected; bones of unlabelled people must on average be as long as those of labelled ones. Lens distortion is
taken out of the observations when they are read, so here a projection is a division by depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vp3d.common.skeletons import COCO_17, H36M_FROM_COCO
from vp3d.errors import UserError
from vp3d.lift.conventions import CONVENTIONS, size_of
from vp3d.lift.lifter import resample_joints
from vp3d.lift.model import TemporalModel
from vp3d.train.dice import Dice
from vp3d.train.filmed import Filmed
from vp3d.train.recipes import Recipe, bone_lengths
from vp3d.train.run import Losses
from vp3d.train.synthesis import Examples

_CANONICAL = CONVENTIONS["canonical"]
_FEWEST_JOINTS = 8
"""Frames that show fewer joints teach nothing."""
_NEAREST = 0.2
"""m; nobody is nearer to the camera, and no projection divides by less."""


@dataclass(frozen=True)
class SemiSupervision:
    """How unlabelled windows take part; as many of them as labelled ones are in every batch.

    Attributes:
        warm_up: share of the steps before they do.
        reprojection: weight of their reprojection error, in multiples of the person's RMS size in the image.
        bones: weight of the difference between mean bone lengths, m.
        alike: weight of how far every unlabelled pose's bones are from the labelled mean, m: for people of about one
            build. Not part of the published method.
    """

    warm_up: float = 0.15
    reprojection: float = 0.5
    bones: float = 1.0
    alike: float = 0.0


class Networks(nn.Module):
    """The two networks that are trained together.

    Attributes:
        pose: root-relative poses.
        trajectory: the root's position in the units of the convention, or None where no one asks for it.
    """

    def __init__(self, pose: TemporalModel, trajectory: TemporalModel | None = None) -> None:
        super().__init__()
        self.pose, self.trajectory = pose, trajectory

    def set_norm_momentum(self, momentum: float) -> None:
        """As `TemporalModel.set_norm_momentum`, of both."""
        for network in (self.pose, self.trajectory):
            if network is not None:
                network.set_norm_momentum(momentum)


class UnlabelledWindows:
    """Draws windows of 2D joints from films.

    Args:
        films: 2D joints over time.
        window: frames per window (the lifter's receptive field).
        now: the window's own frame.
        fps: frame rate that the lifter works at, Hz.
        device: where windows are made.

    Raises:
        UserError: no frame shows a person.
    """

    def __init__(
        self, films: Sequence[Filmed], window: int, now: int, fps: float, device: torch.device | str = "cpu"
    ) -> None:
        rays, confidence, own, bounds, offset = [], [], [], [], 0
        for film in films:
            times = np.arange(0, len(film.rays), film.fps / fps)
            resampled, weight = resample_joints(film.rays, film.confidence, times)
            shown = (weight > 0).sum(-1) >= _FEWEST_JOINTS
            rays.append(resampled)
            confidence.append(weight)
            own.append(offset + np.flatnonzero(shown))
            bounds.append(np.tile([offset, offset + len(times) - 1], (int(shown.sum()), 1)))
            offset += len(times)
        if not sum(map(len, own)):
            raise UserError(
                "No frame of the unlabelled films shows a person.", "Give films of people, or leave them out."
            )
        self._rays = torch.from_numpy(np.concatenate(rays)).float().to(device)
        self._confidence = torch.from_numpy(np.concatenate(confidence)).float().to(device)
        self._own = torch.from_numpy(np.concatenate(own)).to(device)
        self._bounds = torch.from_numpy(np.concatenate(bounds)).to(device)
        self._offsets = torch.arange(window, device=device) - now
        self._now = now

    def draw(self, count: int, dice: Dice) -> torch.Tensor:
        """Features (count, W, F) of random windows, half of them mirrored; beyond its ends a film stands still."""
        chosen = dice.choice(torch.arange(len(self._own), device=self._own.device), count)
        frames = self._own[chosen][:, None] + self._offsets
        frames = frames.clamp(self._bounds[chosen, :1], self._bounds[chosen, 1:])
        rays, confidence = self._rays[frames], self._confidence[frames]
        order = list(COCO_17.mirrored)
        flipped = dice.chance(0.5, count, 1, 1)
        mirrored = rays[:, :, order] * rays.new_tensor([-1, 1])
        rays = torch.where(flipped[..., None], mirrored, rays)
        confidence = torch.where(flipped, confidence[:, :, order], confidence)
        return _CANONICAL.encode(rays, confidence, self._now)[0]


def losses(
    networks: Networks,
    examples: Examples,
    unlabelled: torch.Tensor | None,
    recipe: Recipe,
    supervision: SemiSupervision,
) -> Losses:
    """All losses and their weighted sum `total`, from one forward pass.

    Labelled windows have the losses of the recipe and, with a trajectory network, `trajectory`: the distance of the
    root over its depth. Unlabelled windows have `reprojection` and `bones_apart`, which draws at both kinds of poses.

    Args:
        networks: in training.
        examples: labelled windows.
        unlabelled: (N, W, F) features of unlabelled windows, or None.
        recipe: losses of the labelled poses.
        supervision: weights of the others.
    """
    count, pairs = len(examples.features), len(examples.next_features)
    features = torch.cat([examples.features, *([] if unlabelled is None else [unlabelled])])
    with torch.autocast(features.device.type, dtype=torch.bfloat16):
        predicted = networks.pose(torch.cat([examples.next_features, features]))[:, 0].float()
        roots = None if networks.trajectory is None else networks.trajectory(features)[:, 0].float()
    then, poses = predicted[:pairs] @ examples.next_rotation.mT, predicted[pairs:]
    true = examples.poses
    result = recipe.loss(poses[:count], then, true[:, 0], true[:pairs, 1])
    if roots is None:
        return result
    now = networks.pose.architecture.padding[0]
    roots = roots * _CANONICAL.root_units(features[:, now])[:, None]
    result["trajectory"] = root_error(roots[:count, 0], examples.root)
    result["total"] = result["total"] + result["trajectory"]
    if unlabelled is not None:
        result["reprojection"] = reprojection_error(poses[count:] + roots[count:], unlabelled[:, now])
        result["bones_apart"] = bones_apart(poses[:count], poses[count:])
        result["total"] = (
            result["total"]
            + supervision.reprojection * result["reprojection"]
            + supervision.bones * result["bones_apart"]
        )
        if supervision.alike:
            result["bones_unlike"] = bones_unlike(poses[:count], poses[count:])
            result["total"] = result["total"] + supervision.alike * result["bones_unlike"]
    return result


def root_error(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """WMPJPE: mean distance of root positions (N, 3) m, each over the true depth."""
    return ((found - true).norm(dim=-1) / true[:, 2].clamp(min=_NEAREST)).mean()


def reprojection_error(joints: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Mean distance of projected joints from the observed ones, in multiples of the person's RMS size in the image.

    Args:
        joints: (N, 17, 3) m in the axes of the canonical convention.
        observed: (N, F) canonical features of the same frame; joints count by their confidence.
    """
    limbs = list(H36M_FROM_COCO)
    seen = observed[:, : 3 * len(COCO_17)].unflatten(-1, (-1, 3))[:, [H36M_FROM_COCO[joint] for joint in limbs]]
    points = joints[:, limbs]
    projected = points[..., :2] / points[..., 2:].clamp(min=_NEAREST)
    apart = (projected / size_of(observed)[:, None, None] - seen[..., :2]).norm(dim=-1)
    return (apart * seen[..., 2]).sum() / seen[..., 2].sum().clamp(min=1e-6)


def bones_apart(labelled: torch.Tensor, unlabelled: torch.Tensor) -> torch.Tensor:
    """Mean over the bones of how far their mean lengths in two batches of poses (N, 17, 3) m lie apart."""
    return (bone_lengths(labelled).mean(0) - bone_lengths(unlabelled).mean(0)).abs().mean()


def bones_unlike(labelled: torch.Tensor, unlabelled: torch.Tensor) -> torch.Tensor:
    """Mean over bones and unlabelled poses (N, 17, 3) m of how far a bone is from the mean length in labelled poses."""
    return (bone_lengths(unlabelled) - bone_lengths(labelled).mean(0)).abs().mean()
