"""The way from a video to a take. The only place that knows the order of the stages."""

import dataclasses
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vp3d import __version__, cache, camera_motion, detect, given_camera, lift, media, models, refine, track
from vp3d.calibration import CalibratedCamera, pick, read_calibration
from vp3d.camera_motion import CameraMotion
from vp3d.cameras import Camera, undistort_points
from vp3d.common.skeletons import COCO_17
from vp3d.common.take import Take
from vp3d.detect import SEEN, People
from vp3d.detect.propagation import EveryNth
from vp3d.devices import choose_device
from vp3d.errors import UserError
from vp3d.given_camera import GivenCamera
from vp3d.lift import checkpoint
from vp3d.progress import Progress, silent
from vp3d.refine import background
from vp3d.refine.side_views import SideViews
from vp3d.stereo import checkpoint as stereo_weights
from vp3d.stereo.second_look import Film, look_again
from vp3d.stereo.views import ClipView, Joined, frames_needed, join
from vp3d.track import Tracks

log = logging.getLogger(__name__)

CHUNK = 60  # frames detected between two saves: what stopping costs at most
FEWEST_FRAMES = 5  # a shorter appearance has no motion worth lifting


_UPRIGHT = 0.94
"""Cosine of the angle (20°) up to which a calibration's Z axis is the vertical that people show."""
_SEVERAL = ("views", "offsets")
"""Options that are lists."""


@dataclass(frozen=True)
class Options:
    """What the user can choose for a capture.

    Attributes:
        people: "main", "all" or numbers such as "1,3".
        start: first frame of the video, from 0.
        end: frame after the last, or None for the whole video.
        every: use every n-th frame.
        fps: frames per second, where the file does not say it rightly; None for what it says, images 24.
        detector: as for `detect.open_detector`.
        detail: "fast", "normal" or "fine": the size at which the detector looks.
        detect_every: look at every n-th frame only, and follow joints by optical flow between.
        device: "auto", "cpu", "cuda" or "mps".
        lifter: weights by name or path, None for the bundled ones.
        focal_px: focal length in px, where known.
        focal_mm: focal length in mm, with `sensor_mm`.
        sensor_mm: width of the sensor in mm.
        fov_deg: horizontal field of view in degrees.
        calibration: path of a calibration file, as `calibration.read_calibration` takes it.
        camera: which of its cameras took the clip; None for the only one, or that of the clip's name.
        motion: of the camera: "auto" finds it in the background, "still" takes it to stand still.
        camera_file: path of a camera that is known already, as `given_camera.read` takes it: only people are solved.
        height_m: stature of the first person chosen, which scales the world; None where it is not known.
        foot_lock: 0 to 1, how firmly planted feet are held in place.
        views: other videos of the same moment, from cameras that stand still as the first one does.
        offsets: s to add to the times of each of them to get the first video's; None, or empty for all of them, to find
            it from the motion.
        stereo: path of a stereo network's weights, which looks again at joints that several views show; None for none.
        adapt: path to write the lifter's weights to, fitted to this clip; None to use them as they are.
    """

    people: str = "main"
    start: int = 0
    end: int | None = None
    every: int = 1
    fps: float | None = None
    detector: str = "auto"
    detail: str = "normal"
    detect_every: int = 1
    device: str = "auto"
    lifter: str | None = None
    focal_px: float | None = None
    focal_mm: float | None = None
    sensor_mm: float | None = None
    fov_deg: float | None = None
    calibration: str | None = None
    camera: str | None = None
    motion: str = "auto"
    camera_file: str | None = None
    height_m: float | None = None
    foot_lock: float = 1.0
    views: tuple[str, ...] = ()
    offsets: tuple[float | None, ...] = ()
    stereo: str | None = None
    adapt: str | None = None

    def __post_init__(self) -> None:
        """Raise UserError for people who are nobody, heights nobody has and a range that holds no frame."""
        track.asked(self.people)
        refine.Wishes(self.height_m, foot_lock=self.foot_lock)
        if self.motion not in ("auto", "still"):
            raise UserError(f"“{self.motion}” is no movement of a camera.", "Choose auto or still.")
        if self.offsets and len(self.offsets) != len(self.views):
            raise UserError(
                f"There are {len(self.views)} other views and {len(self.offsets)} offsets.",
                "Give one offset for each other view, or none.",
            )
        if self.camera_file and self.views:
            raise UserError("A camera that is given cannot have others beside it.", "Give the camera or other views.")
        if self.stereo and not self.views:
            raise UserError("A stereo network needs other views.", "Name the videos of the other cameras too.")
        if self.fps is not None and not 1 <= self.fps <= 1000:
            raise UserError(f"{self.fps:g} frames per second is no frame rate.", "Give the rate the clip was shot at.")
        if self.start < 0 or self.every < 1 or (self.end is not None and self.end <= self.start):
            raise UserError(
                "The frame range holds no frame.",
                "Choose a start before the end, counted from 0, and a step of 1 or more.",
            )

    @classmethod
    def from_message(cls, options: dict) -> "Options":
        """Options from a message; raises UserError for a name or a type that no option has."""
        types = {
            field.name: (str if "str" in str(field.type) else float if "float" in str(field.type) else int)
            for field in dataclasses.fields(cls)
        }
        values = {}
        for name, value in options.items():
            if value is None:
                continue
            if name not in types:
                raise UserError(f"There is no capture option '{name}'.", "Update the add-on and its server together.")
            wanted = (int, float) if types[name] is float else types[name]
            several = name in _SEVERAL
            for entry in value if several and isinstance(value, list) else [value]:
                unknown = entry is None and name == "offsets"
                if not (isinstance(entry, wanted) or unknown) or isinstance(entry, bool):
                    raise UserError(f"The capture option '{name}' cannot be {value!r}.")
            values[name] = tuple(value) if several and isinstance(value, list) else value
        return cls(**values)


@dataclass
class _Timing:
    """Wall time (s) of a stage, the frames worked on in that time, and whether all of them came from the cache."""

    seconds: float = 0.0
    frames: int = 0
    cached: bool = False


class _Stages:
    """Runs stages through the cache and keeps the time each took."""

    def __init__(self) -> None:
        self.timings: dict[str, _Timing] = {}

    def run(self, name: str, frames: int, entry: cache.Entry, compute: Callable[[], cache.Arrays]) -> cache.Arrays:
        start = time.perf_counter()
        arrays, cached = entry.get(compute)
        timing = self.timings.setdefault(name, _Timing(cached=True))
        timing.seconds += time.perf_counter() - start
        timing.frames += 0 if cached else frames
        timing.cached &= cached
        return arrays


def capture(video: Path | str, options: Options | None = None, progress: Progress = silent) -> Take:
    """Turn a video into a take: detect, track, lift, refine, each stage cached.

    Args:
        video: a video file or an image sequence.
        options: the user's choices.
        progress: called by every stage; may raise `Cancelled`.

    Raises:
        UserError: the video cannot be read, or shows nobody, or the options contradict it.
    """
    video, options = Path(video), options or Options()
    info = media.probe(video)
    if options.fps:
        info = dataclasses.replace(info, fps=_rate(options.fps))
    size = (info.width, info.height)
    stop = min(options.end or info.frame_count, info.frame_count)
    wanted = range(options.start, stop, options.every)
    if not wanted:
        raise UserError(
            f"The frame range starts after the end of {video.name}, which has {info.frame_count} frames.",
            "Choose an earlier start.",
        )
    given = _given(options)
    lens = given.at(np.array(wanted), *size).lens() if given else _lens(info, options)
    choose_device(options.device)
    lifter = lift.load_lifter(options.lifter, options.device)
    stages = _Stages()
    fps = float(info.fps) / options.every
    detector_about, seen, frames, everyone = _watch(video, info, wanted, options, stages, progress)
    if not len(everyone.joints):
        raise UserError(
            f"No person was found in {video.name}.",
            "Check the frame range, choose the detail 'fine' for small people, or use a clip with the whole body.",
        )
    edges = _background(video, everyone, seen, stages, progress)
    clip = camera_motion.Clip(video, frames, everyone.joints, size, float(info.fps))
    if given:
        given = given.at(frames, *size)
        motion = given.motion(frames)
    elif options.motion == "still" or options.views:
        why = "as several views need" if options.views else "as you said"
        motion = camera_motion.still(frames, 0.0, {}, f"The camera stands still, {why}.")
        lens = background.sharpened(lens, edges, motion)
    else:
        motion, lens = _camera(clip, lens, edges, seen, stages, progress)
    beside = None
    if options.views:
        main = ClipView(video.name, everyone, frames / float(info.fps), lens, *_pose(options, video))
        beside = _beside(main, options, seen, stages, progress)
        if options.stereo:
            main, beside = _looked_again(main, beside, frames, video, options, seen, stages, progress)
            everyone = main.tracks
        seen = {**seen, **beside.key}
    everyone = everyone.split(motion.shots)
    chosen = _choose(everyone, options.people, motion)
    _refuse_glimpses(everyone.people(chosen), video)

    # Everybody is lifted and solved, also those nobody asked for: each tells where the floor is and which way is up.
    lens_key = {"K": lens.K.tolist(), "distortion": lens.distortion.tolist(), "focal_sigma": lens.focal_sigma}
    inputs = {**seen, **lens_key, "motion": motion.digest(), "lifter": lifter.digest}
    adapted = None
    if options.adapt:
        lifter, adapted = _adapt(lifter, options, everyone, lens, motion, fps, inputs, stages, progress)
        inputs["lifter"] = lifter.digest
    poses = _lift(lifter, everyone, lens, motion, size, fps, inputs, stages, progress)
    wishes = refine.Wishes(options.height_m, int(chosen[0]), options.foot_lock)
    side = beside.joined.side if beside else None
    solution = _refine(
        everyone, poses, lens, motion, size, float(info.fps), edges, wishes, side, inputs, stages, progress
    )
    if given:
        solution = given.world(solution, sized=options.height_m is not None)
    if beside:
        solution = beside.world(solution, main)

    tracks, joints = everyone.people(chosen), solution.joints[chosen]
    if not np.isfinite(joints).any():
        raise UserError(
            f"The people chosen in {video.name} could not be placed in front of the camera.",
            "Choose somebody who is seen with most of the body.",
        )
    about_people = [
        {
            "id": position + 1,
            "frames": int(np.isfinite(solution.joints[position]).all((1, 2)).sum()),
            "confidence": _mean_confidence(everyone, position),
        }
        for position in chosen
    ]
    solved = {**solution.report, "people": [p for p in solution.report["people"] if p["person"] - 1 in chosen]}
    return Take(
        frames=frames,
        fps=info.fps,
        person_ids=np.array([person["id"] for person in about_people]),
        joints2d=tracks.joints,
        confidence=tracks.confidence,
        source=tracks.source,
        joints3d=joints,
        contacts=solution.contacts[chosen],
        camera_K=solution.camera.K,
        camera_R=solution.camera.R,
        camera_t=solution.camera.t,
        distortion=solution.camera.distortion,
        residual_px=solution.residual_px[chosen],
        video={
            "path": str(info.path.resolve()),
            "name": info.path.name,
            "width": info.width,
            "height": info.height,
            "rotation": info.rotation,
            "frame_count": info.frame_count,
            "start": wanted.start,
            "end": wanted.stop,
            "every": wanted.step,
        },
        settings=asdict(options),
        report={
            "version": __version__,
            "people": about_people,
            "people_found": len(everyone.joints),
            "detector": detector_about["report"],
            "lifter": _about_lifter(lifter, adapted),
            "lens": {"source": lens.source, "note": lens.note, "focal_sigma": lens.focal_sigma},
            "motion": motion.about(),
            "views": [
                {**camera, **about}
                for camera, about in zip(solution.report.get("views", ()), beside.about if beside else (), strict=True)
            ],
            "solve": solved,
            "timings": {name: asdict(timing) for name, timing in stages.timings.items()},
            "warnings": [
                *_warnings(info, tracks, about_people, lifter, solved, motion),
                *(beside.joined.notes if beside else ()),
            ],
        },
    )


def _watch(
    video: Path, info: media.VideoInfo, wanted: range, options: Options, stages: _Stages, progress: Progress
) -> tuple[dict, dict, np.ndarray, Tracks]:
    """Everybody in a clip: the report on the detector, what went into the result, frame numbers, and tracks."""
    source = {
        "video": cache.file_stamp(*media.files(video)),
        "range": [wanted.start, wanted.stop, wanted.step],
        "fps": str(info.fps),
    }
    about, frames, people = _detect(video, wanted, options, source, stages, progress)
    inputs = {**source, **about["key"]}
    progress("track", 0, 1)
    return about, inputs, frames, _track(frames, people, float(info.fps) / wanted.step, inputs, stages)


@dataclass
class _Beside:
    """Other views of a capture: where they are, what goes into the cache's keys, and what the report says of each."""

    joined: Joined
    key: dict
    about: list[dict]

    def world(self, solution: refine.Solution, main: ClipView) -> refine.Solution:
        """The solution in the calibration's own world, where there is one and its Z axis points up, as people show."""
        if main.R is None or main.R[:, 2] @ solution.camera.R[0][:, 2] < _UPRIGHT:
            return solution
        camera = Camera(solution.camera.K, main.R[None], main.t[None], main.lens.distortion)
        given = GivenCamera(main.name, (0, 0), np.zeros(1, int), camera, metres=True)
        moved = given.world(solution, sized=True)
        views = [view.in_world(camera) for view in self.joined.side.views]
        return dataclasses.replace(moved, report={**moved.report, "views": views})


def _pose(options: Options, video: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """World to camera axes as the calibration has them for a clip."""
    camera = _calibrated(options, video)
    return (None, None) if camera is None or camera.R is None else (camera.R, camera.t)


def _beside(main: ClipView, options: Options, seen: dict, stages: _Stages, progress: Progress) -> _Beside:
    others, keys, about = [], [], []
    offsets = options.offsets or [None] * len(options.views)
    for name, offset in zip(options.views, offsets, strict=True):
        video = Path(name)
        info = media.probe(video)
        if options.fps and len(media.files(video)) > 1:  # images do not say theirs, and other videos do
            info = dataclasses.replace(info, fps=_rate(options.fps))
        alone = dataclasses.replace(options, camera=None)
        needed = frames_needed(main.times, offset, float(info.fps), info.frame_count)
        if len(needed) < 2:
            raise UserError(
                f"{video.name} shows nothing of these frames when it starts at {offset:+.3f} s.",
                "Check the offset and the frame range, or leave the offset to be found.",
            )
        _, inputs, frames, tracks = _watch(video, info, needed, options, stages, progress)
        if not len(tracks.joints):
            raise UserError(f"No person was found in {video.name}.", "Leave this view out, or check that it fits.")
        pose = _pose(alone, video)
        others.append(ClipView(video.name, tracks, frames / float(info.fps), _lens(info, alone), *pose))
        keys.append(inputs)
        about.append(
            {
                "path": str(info.path.resolve()),
                "width": info.width,
                "height": info.height,
                "rotation": info.rotation,
                "fps": float(info.fps),
                "frame_count": info.frame_count,
            }
        )
    joined = join(main, others, offsets)
    for entry, offset in zip(about, joined.offsets, strict=True):
        entry["offset_s"] = offset
    stamp = [cache.file_stamp(Path(options.calibration))] if options.calibration else []
    key = {"views": keys, "offsets": list(options.offsets), "calibration": stamp, "camera": options.camera}
    return _Beside(joined, key, about)


def _looked_again(
    main: ClipView,
    beside: _Beside,
    frames: np.ndarray,
    video: Path,
    options: Options,
    seen: dict,
    stages: _Stages,
    progress: Progress,
) -> tuple[ClipView, _Beside]:
    """The views with joints as a stereo network finds them."""
    weights = Path(options.stereo)
    trained = stereo_weights.load(weights)
    films = [Film(video, frames)]
    for about, offset in zip(beside.about, beside.joined.offsets, strict=True):
        numbers = np.round((main.times - offset) * about["fps"]).astype(int)
        inside = (numbers >= 0) & (numbers < about["frame_count"])
        films.append(Film(Path(about["path"]), np.where(inside, numbers, -1)))
    device = choose_device(options.device)
    key = {**beside.key, "stereo": cache.file_stamp(weights)}
    lenses = [[view.lens.K.tolist(), view.lens.distortion.tolist()] for view in (main, *beside.joined.side.views)]

    def compute() -> cache.Arrays:
        seen, joined = look_again(trained, main, beside.joined, films, device, progress)
        views = joined.side.views
        return {
            "joints": np.stack([seen.tracks.joints, *(view.joints for view in views)]),
            "confidence": np.stack([seen.tracks.confidence, *(view.confidence for view in views)]),
            "points": joined.side.points,
        }

    code = ("detect", "media", "track", "common", "stereo", "cameras.py")
    entry = cache.entry("stereo", code, main=seen, lenses=lenses, **key)
    stored = stages.run("stereo", len(frames), entry, compute)
    joints, confidence = stored["joints"], stored["confidence"]
    tracks = dataclasses.replace(main.tracks, joints=joints[0], confidence=confidence[0])
    views = tuple(
        dataclasses.replace(view, joints=joints[i], confidence=confidence[i])
        for i, view in enumerate(beside.joined.side.views, 1)
    )
    side = SideViews(views, stored["points"], beside.joined.side.metres)
    notes = list(beside.joined.notes)
    if not trained.commercial:
        notes.append(f"The network “{weights.name}” may not be used for commercial work ({trained.licence}).")
    joined = dataclasses.replace(beside.joined, side=side, notes=notes)
    return dataclasses.replace(main, tracks=tracks), _Beside(joined, key, beside.about)


def _given(options: Options) -> GivenCamera | None:
    if options.camera_file is None:
        return None
    lens = (options.focal_px, options.focal_mm, options.sensor_mm, options.fov_deg, options.calibration)
    if any(value is not None for value in lens):
        raise UserError("A camera that is given brings its lens.", "Give the camera or the lens, not both.")
    return given_camera.read(options.camera_file)


def _lens(info: media.VideoInfo, options: Options) -> refine.Lens:
    return refine.choose_lens(
        info,
        focal_px=options.focal_px,
        focal_mm=options.focal_mm,
        sensor_mm=options.sensor_mm,
        fov_deg=options.fov_deg,
        calibration=_calibrated(options, info.path),
    )


def _calibrated(options: Options, video: Path) -> CalibratedCamera | None:
    if options.calibration is None:
        if options.camera is not None:
            raise UserError(f"There is no calibration to take camera “{options.camera}” from.", "Give its file too.")
        return None
    return pick(read_calibration(options.calibration), options.camera, video.stem)


def _about_lifter(lifter: lift.Lifter, adapted: dict | None) -> dict:
    model = models.MODELS.get(lifter.name)
    title = model.title if model else lifter.name
    about = {
        "name": lifter.name,
        "description": f"{title}, which looks at {lifter.receptive_field} frames for every pose.",
        "licence": lifter.licence,
        "commercial": lifter.commercial,
    }
    if adapted:
        before, after = adapted["held_out_px"]
        gain = f"held-out joints are {after:.1f} px off instead of {before:.1f} px"
        about["description"] += f" Adapted to this clip: {gain}." if adapted["kept"] else " Adapting it did not help."
        about["adapted"] = adapted
    return about


def _rate(fps: float) -> Fraction:
    """The frame rate that a number stands for: 29.97 is 30000/1001, which keeps a long clip in step."""
    broadcast = Fraction(round(fps * 1.001) * 1000, 1001)
    return broadcast if abs(broadcast - fps) < 1e-3 else Fraction(fps).limit_denominator(1000)


def _detect(
    video: Path, wanted: range, options: Options, source: dict, stages: _Stages, progress: Progress
) -> tuple[dict, np.ndarray, list[People]]:
    """People of every wanted frame, in saved chunks: a job that stops goes on after the last whole chunk.

    The video is opened once, at the first chunk that is not saved: to seek costs up to a whole group of pictures.
    """
    detector = detect.open_detector(options.detector, options.detail, options.device, options.detect_every)
    key = {
        "detector": detector.name,
        "detail": options.detail,
        "detect_every": options.detect_every,
        "weights": cache.file_stamp(detector.weights),
    }
    frames: list[int] = []
    people: list[People] = []
    stream: Iterator[media.Frame] = iter(())
    upcoming = -1

    def compute(part: range, seen: int) -> cache.Arrays:
        nonlocal stream, upcoming
        if upcoming != part.start:
            stream = media.read_frames(video, part.start, wanted.stop, wanted.step)
        upcoming = part.stop
        if isinstance(detector, EveryNth):
            detector.restart()  # so that a chunk is the same whether or not the one before came from the cache
        indices, found = [], []
        for batch in _batches(itertools.islice(stream, len(part)), detector.batch_size):
            found += detector.detect([frame.image for frame in batch])
            indices += [frame.index for frame in batch]
            progress("detect", seen + len(indices), len(wanted))
        return _pack(indices, found)

    try:
        for begin in range(0, len(wanted), CHUNK):
            part = wanted[begin : begin + CHUNK]
            entry = cache.entry(
                "detect",
                ("detect", "media", "common"),
                video=source["video"],
                **key,
                part=[part.start, part.stop, part.step],
            )
            progress("detect", begin, len(wanted))
            chunk = stages.run("detect", len(part), entry, lambda part=part, begin=begin: compute(part, begin))
            indices, found = _unpack(chunk)
            frames += indices
            people += found
            progress("detect", begin + len(part), len(wanted))
    finally:
        detector.close()
    if not frames:
        raise UserError(f"{video.name} has no readable frame.", "Convert it to an ordinary MP4 and try again.")
    report = {"name": detector.name, "description": detector.description, "licence": detector.licence}
    return {"key": key, "report": report}, np.array(frames, np.int32), people


def _batches(frames: Iterator[media.Frame], size: int) -> Iterator[list[media.Frame]]:
    batch: list[media.Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _pack(indices: list[int], people: list[People]) -> cache.Arrays:
    return {
        "frames": np.array(indices, np.int32),
        "counts": np.array([len(found.joints) for found in people], np.int32),
        "joints": np.concatenate([found.joints for found in people] or [np.zeros((0, 21, 2), np.float32)]),
        "confidence": np.concatenate([found.confidence for found in people] or [np.zeros((0, 21), np.float32)]),
    }


def _unpack(arrays: cache.Arrays) -> tuple[list[int], list[People]]:
    ends = np.cumsum(arrays["counts"])[:-1]
    joints, confidence = np.split(arrays["joints"], ends), np.split(arrays["confidence"], ends)
    if not len(arrays["counts"]):
        return [], []
    return arrays["frames"].tolist(), [People(j, c) for j, c in zip(joints, confidence, strict=True)]


def _track(frames: np.ndarray, people: list[People], fps: float, inputs: dict, stages: _Stages) -> Tracks:
    def compute() -> cache.Arrays:
        tracks = track.fill_gaps(track.track(frames, people, fps), fps)
        return {field.name: getattr(tracks, field.name) for field in dataclasses.fields(tracks)}

    entry = cache.entry("track", ("detect", "media", "track", "common"), **inputs)
    return Tracks(**stages.run("track", len(frames), entry, compute))


def _refuse_glimpses(tracks: Tracks, video: Path) -> None:
    longest = int(np.isfinite(tracks.joints[..., 0]).any(-1).sum(-1).max())
    if longest < FEWEST_FRAMES:
        raise UserError(
            f"A person was found in only {longest} of {len(tracks.frames)} frames of {video.name}, too few for motion.",
            "Choose a range in which the person stays in view, or the detail 'fine'.",
        )


def _background(video: Path, tracks: Tracks, inputs: dict, stages: _Stages, progress: Progress) -> background.Edges:
    rows = background.rows_to_look_at(len(tracks.frames))

    def views() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for done, row in enumerate(rows):
            progress("background", done, len(rows))
            number = int(tracks.frames[row])
            for frame in media.read_frames(video, number, number + 1):
                yield row, frame.image, tracks.joints[:, row]
        progress("background", len(rows), len(rows))

    code = ("detect", "media", "track", "common", "refine/background.py")
    entry = cache.entry("background", code, **inputs)
    return background.Edges(
        **stages.run("background", len(tracks.frames), entry, lambda: asdict(background.gather(views())))
    )


def _camera(
    clip: camera_motion.Clip,
    lens: refine.Lens,
    edges: background.Edges,
    inputs: dict,
    stages: _Stages,
    progress: Progress,
) -> tuple[CameraMotion, refine.Lens]:
    """How the camera moved, and the lens as its turning or, where that tells nothing, the straight edges tell it."""
    code = ("detect", "media", "track", "common", "camera_motion")
    entry = cache.entry("camera", code, **inputs)
    stored = stages.run("camera", len(clip.frames), entry, lambda: camera_motion.watch(clip, progress).arrays())
    followed = camera_motion.Followed.from_arrays(stored)

    def moved(lens: refine.Lens) -> CameraMotion:
        lens_key = {"K": lens.K.tolist(), "distortion": lens.distortion.tolist(), "focal_sigma": lens.focal_sigma}
        entry = cache.entry("camera", (*code, "cameras.py"), **inputs, **lens_key)
        return CameraMotion.from_arrays(
            stages.run(
                "camera",
                0,
                entry,
                lambda: camera_motion.estimate(
                    clip, followed, lens.K, lens.distortion, lens.focal_sigma, progress
                ).arrays(),
            )
        )

    if not len(followed.row):
        still = camera_motion.estimate(clip, followed, lens.K, lens.distortion, lens.focal_sigma)
        return still, background.sharpened(lens, edges, still)
    motion = moved(lens)
    if motion.focal_px is None:
        first = motion.shots[0]
        sharper = background.sharpened(lens, edges.between(*first), motion.shot(0))
        if sharper is not lens and motion.moves:
            motion = moved(sharper)
        lens = sharper
    if motion.focal_px is not None:
        K = lens.K.copy()
        K[[0, 1], [0, 1]] *= motion.focal_px / lens.K[0, 0]
        note = (
            f"Focal length {K[0, 0]:.0f} px ± {motion.focal_sigma:.1%} from how the background moves with the camera."
        )
        lens = dataclasses.replace(lens, K=K, source="background", note=note, focal_sigma=motion.focal_sigma)
    return motion, lens


def _choose(everyone: Tracks, who: str, motion: CameraMotion) -> list[int]:
    """Positions of the people asked for; after a cut nobody is known again, so the main person is one of each shot."""
    chosen = track.choose(everyone, who)
    if who != "main" or len(motion.shots) == 1:
        return chosen
    present = np.isfinite(everyone.joints).any((-1, -2))
    mains = [np.flatnonzero(present[:, start:end].any(-1)) for start, end in motion.shots]
    return [int(people[0]) for people in mains if len(people)]


def _straight(tracks: Tracks, lens: refine.Lens, motion: CameraMotion) -> np.ndarray:
    """2D joints (P, T, 21, 2) px as a lens without distortion or zoom would show them."""
    return undistort_points(motion.unzoom(tracks.joints, lens.K[:2, 2]), lens.K, lens.distortion)


def _adapt(
    lifter: lift.Lifter,
    options: Options,
    tracks: Tracks,
    lens: refine.Lens,
    motion: CameraMotion,
    fps: float,
    inputs: dict,
    stages: _Stages,
    progress: Progress,
) -> tuple[lift.Lifter, dict]:
    """The lifter fitted to the clip, or as it was where that is no better, and what the fit gave."""
    original = lift.load_weights(options.lifter)
    device = choose_device(options.device)

    def compute() -> cache.Arrays:
        people = [
            lift.Appearance(joints, confidence)
            for joints, confidence in zip(_straight(tracks, lens, motion), tracks.confidence, strict=True)
        ]
        return lift.adapt(original, people, lens.K, fps, progress, device).stored()

    entry = cache.entry("adapt", ("detect", "media", "track", "lift", "common"), **inputs)
    adapted = lift.Adapted.read(original, stages.run("adapt", len(tracks.frames), entry, compute))
    if adapted.fitted is None:
        return lifter, adapted.report
    checkpoint.save(adapted.fitted, Path(str(options.adapt)))
    return lift.Lifter(adapted.fitted, lifter.name, device), adapted.report


def _lift(
    lifter: lift.Lifter,
    tracks: Tracks,
    lens: refine.Lens,
    motion: CameraMotion,
    size: tuple[int, int],
    fps: float,
    inputs: dict,
    stages: _Stages,
    progress: Progress,
) -> np.ndarray:
    def compute() -> cache.Arrays:
        poses = []
        straight = _straight(tracks, lens, motion)
        for index, (joints, confidence) in enumerate(zip(straight, tracks.confidence, strict=True)):
            progress("lift", index, len(tracks.joints))
            poses.append(lifter.lift(joints, confidence, lens.K, size, fps))
        progress("lift", len(poses), len(poses))
        return {"poses": np.stack(poses)}

    entry = cache.entry("lift", ("detect", "media", "track", "lift", "common"), **inputs)
    return stages.run("lift", len(tracks.frames), entry, compute)["poses"]


def _refine(
    tracks: Tracks,
    poses: np.ndarray,
    lens: refine.Lens,
    motion: CameraMotion,
    size: tuple[int, int],
    fps: float,
    edges: background.Edges,
    wishes: refine.Wishes,
    side: SideViews | None,
    inputs: dict,
    stages: _Stages,
    progress: Progress,
) -> refine.Solution:
    def compute() -> cache.Arrays:
        solved = refine.solve(tracks, poses, lens, size, fps, progress, motion, edges, wishes, beside=side)
        camera = {f"camera_{field.name}": getattr(solved.camera, field.name) for field in dataclasses.fields(Camera)}
        return {
            **camera,
            "joints": solved.joints,
            "contacts": solved.contacts,
            "residual_px": solved.residual_px,
            "report": np.array(json.dumps(solved.report)),
        }

    code = ("detect", "media", "track", "lift", "refine", "camera_motion", "stereo", "common", "cameras.py")
    stored = stages.run("refine", len(tracks.frames), cache.entry("refine", code, **inputs, **asdict(wishes)), compute)
    return refine.Solution(
        camera=Camera(**{field.name: stored[f"camera_{field.name}"] for field in dataclasses.fields(Camera)}),
        joints=stored["joints"],
        contacts=stored["contacts"],
        residual_px=stored["residual_px"],
        report=json.loads(str(stored["report"])),
    )


def _mean_confidence(tracks: Tracks, index: int) -> float:
    seen = np.isfinite(tracks.joints[index, :, : len(COCO_17), 0])
    confidence = tracks.confidence[index, :, : len(COCO_17)]
    return round(float(confidence[seen].mean()), 3) if seen.any() else 0.0


def _warnings(
    info: media.VideoInfo,
    tracks: Tracks,
    people: list[dict],
    lifter: lift.Lifter,
    solved: dict,
    motion: CameraMotion,
) -> list[str]:
    warnings = [*solved["warnings"], *(note for person in solved["people"] for note in person["warnings"])]
    if len(motion.shots) > 1 or not motion.sure:
        warnings.append(motion.note)
    if info.variable_rate:
        warnings.append("The video has a variable frame rate: frames are matched by time to the numbers Blender shows.")
    if not lifter.commercial:
        warnings.append(f"The lifter '{lifter.name}' may not be used for commercial work ({lifter.licence}).")
    seen = (tracks.confidence[..., : len(COCO_17)] >= SEEN).any(-1).mean(-1)
    warnings += [
        f"Person {person['id']} is visible in only {share:.0%} of the frames."
        for person, share in zip(people, seen, strict=True)
        if share < 0.5
    ]
    return warnings
