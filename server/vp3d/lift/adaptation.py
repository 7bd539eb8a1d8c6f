"""Fitting a lifter's own weights to one clip by how far its poses land from the clip's 2D joints.

The picture says nothing about depth, so the original weights are an anchor three times over: what the fitted network
says stays near what the original said, bones stay near the lengths that it found, and weights stay near where they
started (L2-SP of Li et al., "Explicit inductive bias for transfer learning", 2018). Some joints are held out of both
input and loss; they stop the fit, and decide whether it is kept.
"""

import copy
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vp3d.common.skeletons import BODY_21, H36M_17, H36M_FROM_COCO, SKELETONS
from vp3d.errors import UserError
from vp3d.lift.checkpoint import Checkpoint
from vp3d.lift.conventions import CONVENTIONS
from vp3d.lift.lifter import resample_joints, to_rays
from vp3d.progress import Progress, silent

STAGE = "adapt"
_STORED = "pose "

_HELD_OUT = 0.15
"""Share of joints held out, in runs of `_RUN` frames."""
_RUN = 12
_STEPS, _CHECK, _PATIENCE = 120, 15, 3
"""Steps at most, steps between two looks at what is held out, and looks without a gain after which it stops."""
_BATCH = 32
_RATE = 2e-5
_WORTH = 0.98
"""Share of the held-out error that must at most remain for the fit to be kept."""
_PIXEL_SIGMA = 0.04
"""m at the person's depth, a detected joint's error; beyond twice that, errors count linearly."""
_ACROSS_SIGMA, _ALONG_SIGMA = 0.10, 0.02
"""m by which a joint may leave where the original weights put it: the picture tells nothing along the view."""
_BONE_SIGMA = 0.02
"""m by which a bone may leave the length that the original weights found."""
_ANCHOR = 0.1
"""Weight of poses and of bones against the pixels; `_WEIGHTS_ANCHOR` that of the weights."""
_WEIGHTS_ANCHOR = 1.0
_NEAREST = 0.3  # m
_CHUNK = 256
_LIMBS, _LIMBS_COCO = list(H36M_FROM_COCO), list(H36M_FROM_COCO.values())
_PARENTS = np.maximum(H36M_17.parents, 0)


@dataclass(frozen=True)
class Appearance:
    """One person's 2D joints.

    Attributes:
        joints: (T, 21, 2) px in the order of `BODY_21`, lens distortion removed; NaN where missing.
        confidence: (T, 21), 0 to 1.
    """

    joints: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Adapted:
    """What a fit gave.

    Attributes:
        fitted: the weights, or None where held-out joints are not found better with them.
        report: JSON-able: `held_out_px` and `seen_px`, mean reprojection errors before and after, `steps`, `kept`.
    """

    fitted: Checkpoint | None
    report: dict

    def stored(self) -> dict[str, np.ndarray]:
        """As arrays, for a cache."""
        weights = {} if self.fitted is None else self.fitted.pose
        return {"report": np.array(json.dumps(self.report))} | {
            _STORED + name: value.numpy() for name, value in weights.items()
        }

    @classmethod
    def read(cls, original: Checkpoint, stored: dict[str, np.ndarray]) -> "Adapted":
        """From such arrays, and the weights that the fit began with."""
        report = json.loads(str(stored["report"]))
        pose = {
            name.removeprefix(_STORED): torch.from_numpy(value)
            for name, value in stored.items()
            if name.startswith(_STORED)
        }
        return cls(_fitted(original, pose, report) if pose else None, report)


def _fitted(original: Checkpoint, pose: dict[str, torch.Tensor], report: dict) -> Checkpoint:
    return dataclasses.replace(original, pose=pose, training={**original.training, "adapted": report})


class _Person:
    """Tensors of one person at the network's frame rate."""

    def __init__(
        self, seen: Appearance, K: np.ndarray, take: list[int], ratio: float, dice: np.random.Generator
    ) -> None:
        rays = to_rays(seen.joints[:, take], K)
        weight = np.where(np.isfinite(rays).all(-1), np.clip(seen.confidence[:, take], 0, 1), 0)
        if not 1 / 1.4 <= ratio <= 1.4:
            rays, weight = resample_joints(rays, weight, np.arange(0, len(rays) - 1 + ratio, ratio))
        runs = dice.random((len(rays) // _RUN + 1, weight.shape[1])) < _HELD_OUT
        held = np.repeat(runs, _RUN, axis=0)[: len(rays)]
        self.frames = np.flatnonzero((weight > 0).sum(-1) >= len(take) // 2)
        self.rays = torch.from_numpy(np.nan_to_num(rays)).float()
        self.weight = torch.from_numpy(np.where(held, 0, weight)).float()
        self.held = torch.from_numpy(np.where(held, weight, 0)).float()

    def chunks(self) -> list[np.ndarray]:
        return np.array_split(self.frames, len(self.frames) // _CHUNK + 1)


def adapt(
    checkpoint: Checkpoint,
    people: Sequence[Appearance],
    K: np.ndarray,
    fps: float,
    progress: Progress = silent,
    device: str = "cpu",
    seed: int = 0,
) -> Adapted:
    """Fit the weights of a lifter to a clip.

    Args:
        checkpoint: the original.
        people: everybody in the clip.
        K: (3, 3) of the clip's camera.
        fps: of the clip.
        progress: called every step.
        device: for torch.
        seed: of what is held out and of the steps.

    Raises:
        UserError: nobody is seen long enough, or the lifter looks at whole clips.
        Cancelled: from `progress`.
    """
    convention = CONVENTIONS[checkpoint.convention]
    if not convention.windowed or checkpoint.output_joints != H36M_17.name:
        raise UserError("This lifter cannot be adapted to a clip.", "Use the bundled one, or do not adapt.")
    dice = np.random.default_rng(seed)
    inputs = SKELETONS[checkpoint.input_joints]
    take = [BODY_21.index(joint) for joint in inputs.joints]
    limbs = [inputs.index(BODY_21.joints[joint]) for joint in _LIMBS_COCO]
    found = [_Person(person, K, take, fps / checkpoint.fps, dice) for person in people]
    found = [person for person in found if len(person.frames) >= checkpoint.architecture.receptive_field]
    if not found:
        raise UserError("Nobody is seen long enough to adapt the lifter to.", "Use a longer clip, or do not adapt.")

    original = checkpoint.build(strided=True).to(device).eval()
    fitted = copy.deepcopy(original)
    start = [weight.detach().clone() for weight in fitted.parameters()]
    before, _ = checkpoint.architecture.padding
    window = np.arange(-before, checkpoint.architecture.receptive_field - before)

    def poses(model: torch.nn.Module, person: _Person, rows: np.ndarray) -> torch.Tensor:
        seen = np.clip(rows[:, None] + window, 0, len(person.rays) - 1)
        batch, rotation = convention.encode(person.rays[seen].to(device), person.weight[seen].to(device), before)
        lifted = model(batch).view(len(rows), -1, 3) @ rotation
        return lifted - lifted[:, :1]

    def measure(model: torch.nn.Module) -> tuple[float, float]:
        """Held-out and seen error, px."""
        sums = np.zeros((2, 2))
        with torch.no_grad():
            for person in found:
                for rows in person.chunks():
                    error, _ = _misses(poses(model, person, rows), person, rows, limbs)
                    for i, weight in enumerate((person.held, person.weight)):
                        share = weight[rows][:, limbs].numpy()
                        sums[i] += (share * error.cpu().numpy()).sum(), share.sum()
        held, seen = sums[:, 0] / np.maximum(sums[:, 1], 1e-9) * K[0, 0]
        return float(held), float(seen)

    with torch.no_grad():
        anchors = [torch.cat([poses(original, person, rows) for rows in person.chunks()]) for person in found]
    lengths = [_bones(anchor).median(0).values for anchor in anchors]
    first = best = measure(original)
    kept, waited, steps = copy.deepcopy(fitted.state_dict()), 0, 0
    optimiser = torch.optim.Adam(fitted.parameters(), lr=_RATE)
    sizes = np.array([len(person.frames) for person in found])
    for step in range(1, _STEPS + 1):
        progress(STAGE, step - 1, _STEPS)
        chosen = int(dice.choice(len(found), p=sizes / sizes.sum()))
        person = found[chosen]
        picked = dice.choice(len(person.frames), min(_BATCH, len(person.frames)), replace=False)
        rows, then = person.frames[picked], anchors[chosen][picked]
        now = poses(fitted, person, rows)
        error, depth = _misses(now, person, rows, limbs)
        weight = person.weight[rows][:, limbs].to(device)
        pixels = torch.nn.functional.huber_loss(error * depth / _PIXEL_SIGMA, torch.zeros_like(error), "none", 2.0)
        drift = _drift(now, then, person, rows, limbs)
        bones = ((_bones(now) - lengths[chosen]) / _BONE_SIGMA).square().mean()
        moved = sum((now - then).square().sum() for now, then in zip(fitted.parameters(), start, strict=True))
        loss = (weight * pixels).sum() / weight.sum() + _ANCHOR * (drift + bones) + _WEIGHTS_ANCHOR * moved
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % _CHECK == 0:
            error_now = measure(fitted)
            waited += 1
            if error_now[0] < best[0]:
                best, kept, waited, steps = error_now, copy.deepcopy(fitted.state_dict()), 0, step
            if waited >= _PATIENCE:
                break
    progress(STAGE, _STEPS, _STEPS)
    good = best[0] < _WORTH * first[0]
    report = {"held_out_px": [first[0], best[0]], "seen_px": [first[1], best[1]], "steps": steps, "kept": good}
    weights = {name: value.cpu() for name, value in kept.items()}
    return Adapted(_fitted(checkpoint, weights, report) if good else None, report)


def _drift(now: torch.Tensor, then: torch.Tensor, person: _Person, rows: np.ndarray, limbs: list[int]) -> torch.Tensor:
    """Mean square of how far poses (B, 17, 3) left others, in sigmas, which differ across and along the view."""
    share = person.weight[rows][:, limbs, None]
    middle = (share * person.rays[rows][:, limbs]).sum(1) / share.sum(1).clamp_min(1e-6)
    sight = torch.nn.functional.pad(middle, (0, 1), value=1.0).to(now.device)
    sight = (sight / sight.norm(dim=-1, keepdim=True))[:, None]
    change = now - then
    along = (change * sight).sum(-1, keepdim=True)
    across = change - along * sight
    return (across / _ACROSS_SIGMA).square().mean() + (along / _ALONG_SIGMA).square().mean() / 3


def _bones(poses: torch.Tensor) -> torch.Tensor:
    """(B, 17) m."""
    return (poses - poses[:, _PARENTS]).norm(dim=-1)


def _misses(
    poses: torch.Tensor, person: _Person, rows: np.ndarray, limbs: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far limbs land from their rays, (B, 12) on the plane z = 1, and their depth (B, 12) m, with each body where
    its seen joints put it (linear least squares, Kolotouros et al., SPIN, 2019)."""
    rays = person.rays[rows][:, limbs].to(poses.device)
    weight = person.weight[rows][:, limbs].to(poses.device)
    body = poses[:, _LIMBS]
    matrix = torch.zeros(*rays.shape, 3, device=poses.device)
    matrix[..., 0, 0] = matrix[..., 1, 1] = 1.0
    matrix[..., 2] = -rays
    rhs = rays * body[..., 2:] - body[..., :2]
    normal = torch.einsum("bj,bjki,bjkl->bil", weight, matrix, matrix) + 1e-6 * torch.eye(3, device=poses.device)
    moment = torch.einsum("bj,bjki,bjk->bi", weight, matrix, rhs)
    placed = body + torch.linalg.solve(normal, moment[..., None])[..., 0][:, None]
    depth = placed[..., 2].clamp(min=_NEAREST)
    return (placed[..., :2] / depth[..., None] - rays).norm(dim=-1), depth.detach()
