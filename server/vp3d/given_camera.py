"""A camera that is known already, from a file: only the people are solved then."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vp3d.camera_motion import CameraMotion
from vp3d.cameras import Camera
from vp3d.common.skeletons import H36M_17
from vp3d.errors import UserError
from vp3d.refine import Lens, Solution

FORMATS = ("vp3d-camera", "vp3d-json")
"""What is read: the add-on's camera, and a take exported as JSON, whose camera goes for another capture."""

_STILL = 1e-6
"""m and rad, changes below which are none."""

_SHAPE = 0.01
"""Relative difference of two pictures' proportions below which one is a copy of the other in another size."""

_LIKELY_SIZE = (0.7, 1.4)
"""Of what the people were solved for: sizes that the floor may give them."""

_ANKLES = [H36M_17.index("left_ankle"), H36M_17.index("right_ankle")]
_PLANTED = 0.5
_FEWEST_PLANTED = 5
_LOW = 0.3
"""m from the camera's height to the feet, below which the floor says nothing about sizes."""


@dataclass(frozen=True)
class GivenCamera:
    """A camera at C frames (1 where it stands still), OpenCV's axes.

    Attributes:
        name: what it is, for the report.
        size: width and height (px) that K is for.
        frames: (C,) frames of the video, from 0; a camera that stands still holds for all.
        camera: the camera; world Z up.
        metres: whether the world is in metres with the floor at z = 0; people give the scale where it is not.
    """

    name: str
    size: tuple[int, int]
    frames: np.ndarray
    camera: Camera
    metres: bool

    def at(self, frames: np.ndarray, width: int, height: int) -> "GivenCamera":
        """The camera at frames (T,) of a video of width x height px.

        Raises:
            UserError: it has no value at some of them, or is for another shape of picture.
        """
        rows = np.zeros(1, int)
        if len(self.frames) > 1:
            rows = np.searchsorted(self.frames, frames)
            known = rows < len(self.frames)
            known[known] = self.frames[rows[known]] == frames[known]
            if not known.all():
                missing = frames[~known]
                raise UserError(
                    f"The camera “{self.name}” has no frame {missing[0] + 1} of the video"
                    + (f", nor {len(missing) - 1} others." if len(missing) > 1 else "."),
                    f"Capture from frame {self.frames[0] + 1} to {self.frames[-1] + 1}, or let the camera be solved.",
                )
        K = self.camera.K[rows].copy()
        across, down = width / self.size[0], height / self.size[1]
        if abs(across / down - 1) > _SHAPE:
            raise UserError(
                f"The camera “{self.name}” is for {self.size[0]} × {self.size[1]} px, "
                f"the clip has {width} × {height} px.",
                "Give the scene the resolution of the clip, or let the camera be solved.",
            )
        # (0, 0) is the centre of a pixel, and resampling scales about the picture's corner
        K[:, :2, 2] = (K[:, :2, 2] + 0.5) * [across, down] - 0.5
        K[:, 0, 0] *= across
        K[:, 1, 1] *= down
        camera = Camera(K, self.camera.R[rows], self.camera.t[rows], self.camera.distortion)
        return GivenCamera(self.name, (width, height), frames if len(rows) > 1 else self.frames, camera, self.metres)

    def lens(self) -> Lens:
        """Its lens at the first frame, known exactly."""
        note = f"Lens and movement of the camera are those of “{self.name}”; only the people were solved."
        return Lens(self.camera.K[0], self.camera.distortion, "given", note, 0.0)

    def motion(self, frames: np.ndarray) -> CameraMotion:
        """Its movement over frames (T,), for which `at` was called."""
        T = len(frames)
        R, zoom = self.camera.R, self.camera.K[:, 0, 0] / self.camera.K[0, 0, 0]
        position = (self.camera.position - self.camera.position[0]) @ R[0].T
        turned = R @ R[0].T
        travels = bool(np.abs(position).max() > _STILL)
        turns = bool(np.abs(turned - np.eye(3)).max() > _STILL)
        return CameraMotion(
            kind="free" if travels else "tripod" if turns else "static",
            frames=np.asarray(frames, np.int32),
            rotation=np.broadcast_to(turned if turns else np.eye(3), (T, 3, 3)).copy(),
            position=np.broadcast_to(position if travels else np.zeros(3), (T, 3)).copy(),
            zoom=np.broadcast_to(zoom if np.ptp(zoom) > _STILL else np.ones(1), T).copy(),
            shots=((0, T),),
            focal_px=float(self.camera.K[0, 0, 0]),
            focal_sigma=0.0,
            sigma_px=0.0,
            counts={},
            note=f"The camera is “{self.name}”, as it was given.",
        )

    def world(self, solution: Solution, sized: bool = False) -> Solution:
        """People that were solved with `motion`, in this camera's own world, and with it as their camera.

        A camera that travels gives them their size. Feet that stand on its floor put each one right, along the rays
        from the camera, unless people are `sized` already. Without metres, world and sizes stay as solved.
        """
        if not self.metres:
            return solution
        solved, ours = solution.camera.position, self.camera.position
        A = self.camera.R[0].T @ solution.camera.R[0]
        travelled = np.linalg.norm(solved - solved[0])
        unit = float(np.linalg.norm(ours - ours[0]) / travelled) if travelled > _STILL else 1.0
        joints = unit * (solution.joints - solved[0]) @ A.T + ours[0]
        standing = unit * solution.joints[:, :, _ANKLES, 2]  # m over the floor that was solved
        sizes = np.ones(len(joints)) if sized else self._sizes(joints, standing, solution.contacts)
        right, down, ahead = self.camera.R[0]
        report = dict(solution.report)
        report["camera"] = {
            **report["camera"],
            "height_m": float(ours[0, 2]),
            "pitch_deg": float(np.degrees(np.arcsin(ahead[2]))),
            "roll_deg": float(np.degrees(np.arctan2(right[2], -down[2]))),
        }
        report["people"] = [
            {
                key: unit * sizes[person["person"] - 1] * value if key in _LENGTHS and value is not None else value
                for key, value in person.items()
            }
            for person in report["people"]
        ]
        eye = ours[:, None]
        joints = eye + sizes[:, None, None, None] * (joints - eye)
        return replace(solution, camera=self.camera, joints=joints, report=report)

    def _sizes(self, joints: np.ndarray, standing: np.ndarray, contacts: np.ndarray) -> np.ndarray:
        """(P,) by how much people have to be larger for their standing feet to be on the floor; 1 where none say so.

        joints (P, T, 17, 3) m; standing (P, T, 2) m, heights of ankles that `contacts` (P, T, 2) say stand.
        """
        height = np.broadcast_to(self.camera.position[:, 2, None], (joints.shape[1], 2))
        sizes = np.ones(len(joints))
        for person, planted in enumerate(contacts > _PLANTED):
            # ankles at z come to size * standing where size = height / (height - z + standing)
            below = (height - joints[person][:, _ANKLES, 2] + standing[person])[planted]
            if len(below) >= _FEWEST_PLANTED and (below > _LOW).all():
                size = float(np.median(height[planted] / below))
                sizes[person] = size if _LIKELY_SIZE[0] < size < _LIKELY_SIZE[1] else 1.0
        return sizes


_LENGTHS = ("scale", "stature_m", "contact_speed_m_s_median")  # of a person in a report


def read(path: Path | str) -> GivenCamera:
    """Read a camera.

    Raises:
        UserError: there is no such file, or it holds no camera.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] not in FORMATS:
            raise ValueError(content["format"])
        video, camera = content["video"], content["camera"]
        K, R, t, distortion = (np.array(camera[name], float) for name in ("K", "R", "t", "distortion"))
        frames = np.array(content["frames"], np.int64)
        if len(K) == 1:
            frames = frames[:1]
        C = len(frames)
        shapes = (K.shape, R.shape, t.shape, distortion.shape) == ((C, 3, 3), (C, 3, 3), (C, 3), (5,))
        orthogonal = shapes and np.abs(R @ R.swapaxes(-1, -2) - np.eye(3)).max() < 1e-3 and np.linalg.det(R).min() > 0
        if not (C and orthogonal and (np.diff(frames) > 0).all() and all(np.isfinite(a).all() for a in (K, t))):
            raise ValueError("shape")
        name = str(content.get("name") or video.get("name") or path.stem)
        size = (int(video["width"]), int(video["height"]))
        return GivenCamera(name, size, frames, Camera(K, R, t, distortion), bool(content.get("metres", True)))
    except FileNotFoundError as error:
        raise UserError(f"There is no camera at “{path}”.", "Choose its file again.") from error
    except OSError as error:
        raise UserError(f"“{path}” cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"“{path.name}” is no camera, or it is damaged.",
            "Use a camera from the add-on, or a take exported as JSON.",
        ) from error
