"""Scenes, files and pictures from takes where there is no window."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import bpy

from . import picture
from .common import armature
from .common import take as takes
from .skeleton import Applied, apply_take

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_FRAME_START = 1
_LONGER_SIDE = 640  # px
_RED = 20.0  # px of the plate, an error that the overlay shows all red


def build(take: takes.Take, take_path: Path, blend: Path | None, person_ids: Sequence[int] | None = None) -> Applied:
    """Build a take into an empty scene and save it; the file names the video relative to itself and opens
    with the view through the camera.

    Raises:
        TakeError: when the take has nobody, or the file cannot be written.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    applied = apply_take(bpy.context, take, take_path, person_ids, frame_start=_FRAME_START)
    _look_through_camera()
    if blend:
        for clip in bpy.data.movieclips:
            clip.filepath = _relative(clip.filepath, blend.parent)
        try:
            blend.parent.mkdir(parents=True, exist_ok=True)
            bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=False)
        except (OSError, RuntimeError) as error:
            raise takes.TakeError(f"{blend} cannot be written: {error}") from error
    return applied


def render(
    take: takes.Take,
    applied: Applied,
    folder: Path,
    width: int | None,
    progress: Progress,
    *,
    overlay: bool = False,
    frames: Collection[int] | None = None,
) -> None:
    """Render frames of the take through its camera as `folder`/NUMBER.png, NUMBER being the video's frame.

    The scene is no longer fit to be saved afterwards.

    Args:
        take: what was built.
        applied: what was built from it.
        folder: made where it is missing.
        width: of the pictures, px; None: `_LONGER_SIDE` at the longer side.
        progress: called after every picture.
        overlay: transparent pictures, to lay over the undistorted plate, with detected and reprojected joints.
        frames: numbers of the video's frames; None: all.

    Raises:
        TakeError: a picture cannot be written.
    """
    scene, video = bpy.context.scene, take.video
    width = width or round(_LONGER_SIDE * video["width"] / max(video["width"], video["height"]))
    shapes = picture.set_stage(scene, applied.people, width, transparent=overlay)
    times = take.frames / float(take.fps)
    ids = take.person_ids.tolist()
    seen = [armature.keyed(take.joints3d[ids.index(person["vp3d_person"])], times) for person in applied.people]
    wanted = take.frames.tolist() if frames is None else [n for n in take.frames.tolist() if n in frames]
    rows = (row for row in zip(take.frames.tolist(), *seen, strict=True) if row[0] in wanted)
    for done, (number, *visible) in enumerate(rows, 1):
        for shape, show in zip(shapes, visible, strict=True):
            shape.hide_render = not show
        try:
            path = folder / f"{number:06d}.png"
            picture.render(scene, _FRAME_START + number, path)
            if overlay:
                picture.paint_comparison(scene, applied.camera, applied.people, path, _RED)
        except RuntimeError as error:
            raise takes.TakeError(f"Pictures cannot be written to {folder}: {error}") from error
        progress("render", done, len(wanted))


def _look_through_camera() -> None:
    """In every workspace that shows the scene, so that the file opens on plate and armature."""
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.region_3d.view_perspective = "CAMERA"


def _relative(path: str, folder: Path) -> str:
    try:
        return bpy.path.relpath(path, start=str(folder))
    except ValueError:  # another drive on Windows
        return path
