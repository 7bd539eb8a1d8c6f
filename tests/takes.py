"""A take whose truth is known: a rigid walker with planted feet, seen by a known pinhole camera."""

from fractions import Fraction

import numpy as np
from vp3d.common.skeletons import H36M_17, H36M_FROM_COCO
from vp3d.common.take import Source, Take

THIGH, SHIN, ANKLE = 0.44, 0.42, 0.08  # m
STEP, STEP_TIME = 0.6, 0.5  # m, s


def walker(
    frames: int = 60,
    fps: Fraction = Fraction(25),
    people: int = 1,
    size: tuple[int, int] = (1280, 720),
    moving_camera: bool = False,
    K: np.ndarray | None = None,
    every: int = 1,
    video: str = "",
) -> Take:
    """People walking along +X side by side, 1 m apart, in front of a camera that looks along +Y."""
    numbers = np.arange(0, frames * every, every)
    times = numbers / float(fps)
    joints = np.stack([walk(times) + np.array([-1.2, 1.0 * person, 0]) for person in range(people)])
    K = np.array([[1100.0, 0, 639.5], [0, 1100, 359.5], [0, 0, 1]]) if K is None else K
    K, R, t = cameras(times if moving_camera else times[:1], K)
    joints2d = np.full((people, frames, 21, 2), np.nan)
    confidence, source = np.zeros((people, frames, 21)), np.full((people, frames, 21), Source.ABSENT)
    seen = project(K, R, t, joints)
    for ours, coco in {**H36M_FROM_COCO, H36M_17.index("neck"): 0}.items():
        joints2d[:, :, coco], confidence[:, :, coco], source[:, :, coco] = seen[:, :, ours], 0.9, Source.MEASURED
    return Take(
        frames=numbers,
        fps=fps,
        person_ids=np.arange(1, people + 1),
        joints2d=joints2d,
        confidence=confidence,
        source=source,
        joints3d=joints,
        contacts=np.stack([walk_contacts(times)] * people),
        camera_K=K,
        camera_R=R,
        camera_t=t,
        distortion=np.zeros(5),
        residual_px=np.zeros((people, frames, 17)),
        video={
            "path": video,
            "name": video.rsplit("/", 1)[-1],
            "width": size[0],
            "height": size[1],
            "frame_count": int(numbers[-1]) + 1,
            "start": 0,
            "end": int(numbers[-1]) + 1,
            "every": every,
        },
    )


def project(K: np.ndarray, R: np.ndarray, t: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pinhole projection of (..., T, J, 3) m to px."""
    camera = np.einsum("tij,...tkj->...tki", R, points) + t[:, None]
    pixels = np.einsum("tij,...tkj->...tki", K, camera)
    return pixels[..., :2] / pixels[..., 2:]


def cameras(times: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A camera 5 m before the walk at 1.4 m, looking slightly down; pans, drifts and zooms over time."""
    pan, tilt = 0.1 * times, np.radians(6)
    down, right = np.array([0, 0, -1.0]), np.stack([np.cos(pan), np.sin(pan), 0 * pan], -1)
    ahead = np.cross(right, down)
    forward = np.cos(tilt) * ahead + np.sin(tilt) * down
    R = np.stack([right, np.cross(forward, right), forward], axis=1)
    centre = np.stack([0.2 * times, -5 + 0 * times, 1.4 + 0.05 * times], -1)
    zoom = np.ones((len(times), 3, 3))
    zoom[:, [0, 1], [0, 1]] = 1 + 0.05 * times[:, None]
    return K * zoom, R, -np.einsum("tij,tj->ti", R, centre)


def walk_contacts(times: np.ndarray) -> np.ndarray:
    """(T, 2) 1 where the left and the right foot stand."""
    return np.stack([(_phase(times, side) < 0.5) * 1.0 for side in (0, 1)], -1)


def _phase(times: np.ndarray, side: int) -> np.ndarray:
    """Phase of a foot's cycle 0..1: it stands in the first half."""
    return (times / (2 * STEP_TIME) + 0.5 * side) % 1


def walk(times: np.ndarray) -> np.ndarray:
    """Joints (T, 17, 3) m of a rigid person walking along +X from the origin, order `H36M_17`."""
    zero = np.zeros_like(times)
    x = STEP / STEP_TIME * times
    at = {"hip": np.stack([x, zero, 0.86 + 0.01 * np.cos(2 * np.pi * times / STEP_TIME)], -1)}
    swing = np.sin(np.pi * times / STEP_TIME)

    hips, shoulders = _turned(0.06 * swing), _turned(-0.12 * swing)
    lean = np.array([0.05, 0, 1.0]) / np.linalg.norm([0.05, 0, 1.0])
    at["spine"] = at["hip"] + 0.24 * lean
    at["thorax"] = at["spine"] + 0.25 * np.array([0, 0, 1.0])
    at["neck"] = at["thorax"] + shoulders @ [0.07, 0, 0.1]
    at["head"] = at["neck"] + shoulders @ [-0.03, 0, 0.115]
    for side, sign, name in ((0, 1.0, "left"), (1, -1.0, "right")):
        hip = at[f"{name}_hip"] = at["hip"] + hips @ [0, sign * 0.1, 0]
        phase = _phase(times, side)
        cycle = np.floor(times / (2 * STEP_TIME) + 0.5 * side) - 0.5 * side
        lift = np.clip(2 * phase - 1, 0, 1)
        foot = 2 * STEP * (cycle + (lift - np.sin(2 * np.pi * lift) / (2 * np.pi))) + STEP / 2
        ankle = np.stack([foot, zero + sign * 0.1, ANKLE + 0.1 * np.sin(np.pi * lift) ** 2], -1)
        at[f"{name}_knee"], at[f"{name}_ankle"] = _leg(hip, ankle), ankle

        shoulder = at[f"{name}_shoulder"] = at["thorax"] + shoulders @ [0, sign * 0.18, -0.03]
        upper, fore = -sign * 0.45 * swing, -sign * 0.45 * swing + 0.5
        elbow = shoulder + 0.3 * np.stack([np.sin(upper), zero + sign * 0.1, -np.cos(upper)], -1) / np.sqrt(1.01)
        at[f"{name}_elbow"] = elbow
        at[f"{name}_wrist"] = elbow + 0.26 * np.stack([np.sin(fore), zero, -np.cos(fore)], -1)
    return np.stack([at[joint] for joint in H36M_17.joints], axis=1)


def _turned(yaw: np.ndarray) -> np.ndarray:
    c, s, o = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    return np.stack([np.stack(row, -1) for row in ((c, -s, o), (s, c, o), (o, o, o + 1))], -2)


def _leg(hip: np.ndarray, ankle: np.ndarray) -> np.ndarray:
    """The knee of a leg that bends forward (+X)."""
    reach = ankle - hip
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    along = (THIGH**2 - SHIN**2 + length**2) / (2 * length)
    side = np.cross(reach, np.cross([1.0, 0, 0], reach))
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    return hip + reach / length * along + side * np.sqrt(THIGH**2 - along**2)
