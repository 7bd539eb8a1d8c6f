"""The command line `vp3d`."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from vp3d import __version__
from vp3d.commands import detector as detector_commands
from vp3d.commands import evaluate as evaluate_commands
from vp3d.commands import lifter as lifter_commands
from vp3d.commands import models as model_commands
from vp3d.commands import solve as solve_commands
from vp3d.commands import stereo as stereo_commands
from vp3d.commands.bench import ByDefaultCapture
from vp3d.commands.screen import Bar, console, errors, resumable
from vp3d.common import take as takes
from vp3d.errors import Cancelled, UserError
from vp3d.files import check_output

# Commands import what they need when they run: `vp3d --help` and the server's greeting must not wait for torch.

app = typer.Typer(
    name="vp3d",
    help="From an ordinary video to 3D motion and a matched camera.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
train_app = typer.Typer(help="Train the networks on your own data.", no_args_is_help=True)
app.add_typer(model_commands.app, name="models")
evaluate_app = typer.Typer(help="Measure against known poses.", no_args_is_help=True)
app.add_typer(train_app, name="train")
data_app = typer.Typer(help="Make data to train on.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(evaluate_app, name="evaluate")
bench_app = typer.Typer(help="Measure speed on this computer.", no_args_is_help=True, cls=ByDefaultCapture)
app.add_typer(bench_app, name="bench")
data_app.command()(detector_commands.label)
train_app.command(name="detector")(detector_commands.train_detector)
bench_app.command(name="detect")(detector_commands.bench_detect)

train_app.command(name="lifter")(lifter_commands.train_lifter)
train_app.command(name="pose2d")(stereo_commands.train_pose2d)
train_app.command(name="cdrnet")(stereo_commands.train_cdrnet)
train_app.command(name="label-study")(evaluate_commands.label_study)
train_app.command(name="recipe-study")(evaluate_commands.recipe_study)
evaluate_app.command(name="lifter")(evaluate_commands.evaluate_lifter)
evaluate_app.command(name="take")(evaluate_commands.evaluate_take)
evaluate_app.command(name="stereo")(stereo_commands.evaluate_stereo)
data_app.command(name="mpii")(stereo_commands.data_mpii)
data_app.command(name="mads")(stereo_commands.data_mads)
data_app.command(name="pose2sim")(stereo_commands.data_pose2sim)
evaluate_app.command(name="solve")(solve_commands.evaluate_solve)

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write. [default: beside the take]")]
TakeArgument = Annotated[Path, typer.Argument(metavar="TAKE", help="A take, NAME.vp3d.")]


@app.callback()
def _common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more while working.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


@app.command()
def capture(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", help="A video, or a folder or pattern of images; more from other cameras."),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Take to write. [default: VIDEO.vp3d]")] = None,
    people: Annotated[str, typer.Option(help="main, all, or numbers such as 1,3.")] = "main",
    start: Annotated[int, typer.Option(help="First frame, from 0.")] = 0,
    end: Annotated[int | None, typer.Option(help="Frame after the last. [default: the whole video]")] = None,
    every: Annotated[int, typer.Option(help="Use every n-th frame.")] = 1,
    fps: Annotated[float | None, typer.Option(help="Frames per second. [default: the video's; images: 24]")] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="auto, bottom-up or basic (many people), mediapipe (one), keypoint-rcnn, or trained weights."
        ),
    ] = "auto",
    detail: Annotated[str, typer.Option(help="fast, normal or fine.")] = "normal",
    detect_every: Annotated[
        int, typer.Option(min=1, help="Look for people in every n-th frame only, and follow them between.")
    ] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    lifter: Annotated[str | None, typer.Option(help="Lifter weights, by name or file. [default: bundled]")] = None,
    focal_px: Annotated[float | None, typer.Option(help="Focal length in pixels.")] = None,
    lens: Annotated[float | None, typer.Option(help="Focal length in mm, with --sensor.")] = None,
    sensor: Annotated[float | None, typer.Option(help="Sensor width in mm, with --lens.")] = None,
    fov: Annotated[float | None, typer.Option(help="Horizontal field of view in degrees.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration of the lens: OpenCV, Pose2Sim or Qualisys.")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="The camera in it that took the clip. [default: that of the clip's name]")
    ] = None,
    motion: Annotated[str, typer.Option(help="What the camera does: auto, or still.")] = "auto",
    camera_file: Annotated[
        Path | None, typer.Option(help="Camera that is known already: only the people are solved.")
    ] = None,
    height: Annotated[
        float | None, typer.Option(help="Height of the first person in metres, which scales all.")
    ] = None,
    foot_lock: Annotated[float, typer.Option(help="How firmly planted feet are held, 0 to 1.")] = 1.0,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Fit the lifter to this clip; its weights are kept beside the take.")
    ] = False,
    offset: Annotated[
        list[float] | None,
        typer.Option(help="Seconds to add to another view's time to get the first's; once for each. [default: found]"),
    ] = None,
    stereo: Annotated[
        Path | None, typer.Option(help="CDRNet, or its baseline, to find joints of several views. [default: none]")
    ] = None,
) -> None:
    """Turn a video, or several of the same moment, into a take.

    Stopped with Ctrl-C, the next run goes on from the last finished stage.
    """
    from vp3d import pipeline

    video, *views = videos
    output = output or Path(f"{video.stem}.vp3d")
    options = pipeline.Options(
        people=people,
        start=start,
        end=end,
        every=every,
        fps=fps,
        detector=detector,
        detail=detail,
        detect_every=detect_every,
        device=device,
        lifter=lifter,
        focal_px=focal_px,
        focal_mm=lens,
        sensor_mm=sensor,
        fov_deg=fov,
        calibration=None if calibration is None else str(calibration),
        camera=camera,
        motion=motion,
        camera_file=None if camera_file is None else str(camera_file),
        height_m=height,
        foot_lock=foot_lock,
        views=tuple(str(view) for view in views),
        offsets=tuple(offset or ()),
        stereo=None if stereo is None else str(stereo),
        adapt=str(output.with_suffix(".lifter.safetensors")) if adapt else None,
    )
    check_output(output, *videos)
    with resumable(), Bar() as bar:
        take = pipeline.capture(video, options, bar)
    takes.save(take, output)
    _print_summary(take)
    console.print(f"Take: {output}", soft_wrap=True)


@app.command()
def info(path: TakeArgument) -> None:
    """Say what is in a take."""
    _print_summary(takes.load(path))


@app.command()
def export(
    path: TakeArgument,
    to: Annotated[str, typer.Option(help="bvh, json, csv or npz; chan or nk: the camera, in metres, Y up, for Nuke.")],
    output: OutputOption = None,
    first_frame: Annotated[int, typer.Option(help="Number of the video's first frame in chan and nk.")] = 1,
) -> None:
    """Write a take as BVH, JSON, CSV or NPZ, or its camera for Nuke."""
    from vp3d import export as exports

    output = output or path.with_suffix(f".{to}")
    check_output(output, path)
    for written in exports.write(takes.load(path), output, to, first_frame):
        console.print(str(written), soft_wrap=True)


@app.command()
def preview(
    path: TakeArgument,
    output: OutputOption = None,
    video: Annotated[Path | None, typer.Option(help="The video, where it has moved since the capture.")] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder of rendered frames to show beside the plate.")] = None,
) -> None:
    """Make a video of the plate with the skeletons drawn on it, beside the motion in 3D."""
    from vp3d.preview import write_preview

    take = takes.load(path)
    plate = video or Path(take.video.get("path", ""))
    if not video and not plate.is_file():
        raise UserError(f"The video of this take is not at “{plate}”.", "Say where it is with --video.")
    output = output or path.with_name(f"{path.stem}-preview.mp4")
    check_output(output, path, plate)
    with Bar() as bar:
        write_preview(take, plate, output, frames, bar)
    console.print(str(output), soft_wrap=True)


@app.command()
def report(
    path: TakeArgument,
    output: OutputOption = None,
    truth: Annotated[Path | None, typer.Option(help="Known joints and camera, to say how far off it was.")] = None,
) -> None:
    """Write a page about a take: what was found, how sure it is, how far the 3D lies from the plate."""
    from vp3d.report import write_report
    from vp3d.truth import read

    output = output or path.with_name(f"{path.stem}-report.html")
    check_output(output, path)
    write_report(takes.load(path), output, read(truth) if truth else None)
    console.print(str(output), soft_wrap=True)


@app.command(hidden=True)
def serve(ready_file: Annotated[Path, typer.Option(help="Where to write the port.")]) -> None:
    """Serve the Blender add-on (it starts this command itself)."""
    from vp3d.serve import serve as run

    logging.getLogger().setLevel(logging.INFO)
    run(ready_file)


@bench_app.command(name="capture")
def bench(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The clip to measure with.")],
    detail: Annotated[str, typer.Option(help="fast, normal or fine.")] = "normal",
    detector: Annotated[str, typer.Option(help="As for a capture.")] = "auto",
    loops: Annotated[int, typer.Option(help="Also measure the clip repeated this often, for memory.")] = 10,
) -> None:
    """Measure frames per second per stage and peak memory on this computer."""
    from vp3d.bench import bench as run

    console.print(run(video, detail=detail, detector=detector, loops=loops))


@data_app.command(name="render-people")
def render_people(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the data set.")],
    meshes: Annotated[
        list[Path], typer.Option(help="Folder or file of people: Rocketbox adults (FBX), makehuman.zip. Repeatable.")
    ],
    images: Annotated[int, typer.Option(help="How many images, all views counted.")] = 1000,
    motion: Annotated[
        list[Path] | None, typer.Option(help="Zip or folder of motion capture to pose people by. Repeatable.")
    ] = None,
    backgrounds: Annotated[
        list[Path] | None, typer.Option(help="Folder of photographs without people. Repeatable.")
    ] = None,
    views: Annotated[int, typer.Option(help="Calibrated cameras that see each instant, 1 to 4.")] = 1,
    size: Annotated[int, typer.Option(help="Width and height, px.")] = 384,
    engine: Annotated[str, typer.Option(help="workbench (fast), cycles (real light) or eevee.")] = "workbench",
    samples: Annotated[int, typer.Option(help="Samples a pixel, for cycles.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 1,
    processes: Annotated[int, typer.Option(help="Blenders that work side by side.")] = 1,
    blender: Annotated[
        Path | None, typer.Option(help="A Blender, or a Python with bpy. [default: one that the installer made]")
    ] = None,
) -> None:
    """Render people with exact joints to train on. Stopped with Ctrl-C, the same command goes on."""
    from vp3d.data.render_people import RenderSettings
    from vp3d.data.render_people import render_people as run

    settings = RenderSettings(
        output=output,
        images=images,
        meshes=tuple(meshes),
        motion=tuple(motion or ()),
        backgrounds=tuple(backgrounds or ()),
        views=views,
        size=size,
        engine=engine,
        samples=samples,
        seed=seed,
        processes=processes,
        blender=blender,
    )
    with resumable(), Bar() as bar:
        written = run(settings, bar)
    console.print(str(written), soft_wrap=True)


@app.command(name="version")
def version() -> None:
    """Say which version this is."""
    console.print(__version__)


def _print_summary(take: takes.Take) -> None:
    table = Table("person", "frames", "confidence", title=take.video.get("name", ""))
    for person in take.report.get("people", []):
        table.add_row(str(person["id"]), str(person["frames"]), f"{person['confidence']:.2f}")
    console.print(table)
    console.print(f"{len(take.frames)} frames at {float(take.fps):.3f} fps")
    for key in ("detector", "lifter", "lens"):
        about = take.report.get(key, {})
        console.print(f"{key}: {about.get('description') or about.get('note') or about.get('name', 'unknown')}")
    for warning in take.report.get("warnings", []):
        console.print(f"note: {warning}")


def main() -> None:
    """Run the command line; what the user can put right ends as one sentence and status 1."""
    try:
        app()
    except (UserError, takes.TakeError) as error:
        errors.print(f"vp3d: {error}", style="red", soft_wrap=True)
        sys.exit(1)
    except Cancelled:
        errors.print("Stopped. What is finished is kept: the same command goes on from there.")
        sys.exit(130)
