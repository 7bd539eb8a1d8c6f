"""`vp3d train pose2d` and `cdrnet`, `vp3d data mpii`, `mads` and `pose2sim`, and `vp3d evaluate stereo`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vp3d.commands.screen import Bar, console, resumable
from vp3d.errors import UserError

if TYPE_CHECKING:
    from vp3d.train.stereo_views import Views

DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="Folder made by `vp3d data`.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")]
DepthOption = Annotated[int, typer.Option(help="Layers of the encoder: 18, 34, 50, 101 or 152.")]
DecoderOption = Annotated[int, typer.Option(min=8, help="Channels of the decoder.")]
StemOption = Annotated[str, typer.Option(help="First levels of the encoder: resnet, or detector, ours as it is.")]
Loss2DOption = Annotated[str, typer.Option("--loss-2d", help="Of the places in the picture: mse, or cross-entropy.")]
StepsOption = Annotated[int, typer.Option(help="Steps of the optimiser.")]
BatchOption = Annotated[int, typer.Option(help="Instants a step.")]
SizeOption = Annotated[int, typer.Option(help="Side of a crop in pixels, a multiple of 32.")]
OcclusionOption = Annotated[str, typer.Option(help="Hide parts of pictures: none, cutout or hide-and-seek.")]
BackboneOption = Annotated[
    Path | None, typer.Option(help="Weights to start from: of pose2d, or an encoder's as torchvision publishes them.")
]
RateOption = Annotated[float, typer.Option(help="Learning rate at its highest.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the first weights and of all draws.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
LicenceOption = Annotated[str, typer.Option(help="Licence to write into the file.")]
CommercialOption = Annotated[bool, typer.Option(help="Whether that licence allows commercial work.")]


def train_pose2d(
    data: DataArgument,
    output: OutputOption,
    depth: DepthOption = 50,
    decoder: DecoderOption = 256,
    stem: StemOption = "resnet",
    steps: StepsOption = 10_000,
    batch: BatchOption = 64,
    size: SizeOption = 256,
    occlusion: OcclusionOption = "none",
    backbone: BackboneOption = None,
    loss_2d: Loss2DOption = "mse",
    learning_rate: RateOption = 3e-4,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    licence: LicenceOption = "GPL-3.0-or-later",
    commercial: CommercialOption = False,
) -> None:
    """Train the network that looks at one view, in 2D only. It is a backbone for `train cdrnet`, and the baseline.

    A stopped run goes on where it was: the same command again.
    """
    _train(
        data, size, occlusion,
        output=output, fused=False, views=1, depth=depth, decoder=decoder, stem=stem, steps=steps, batch=batch,
        backbone=backbone, loss_2d=loss_2d, learning_rate=learning_rate, seed=seed, device=device, licence=licence,
        commercial=commercial,
    )  # fmt: skip


def train_cdrnet(
    data: DataArgument,
    output: OutputOption,
    depth: DepthOption = 50,
    decoder: DecoderOption = 256,
    stem: StemOption = "resnet",
    steps: StepsOption = 20_000,
    batch: BatchOption = 32,
    size: SizeOption = 256,
    occlusion: OcclusionOption = "cutout",
    backbone: BackboneOption = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Views share nothing: the same training for the baseline.")
    ] = False,
    warm_up: Annotated[float, typer.Option(help="Share of the steps in 2D only.")] = 0.4,
    loss_2d: Loss2DOption = "mse",
    loss: Annotated[str, typer.Option(help="Of the 3D joints: mpjpe, or smooth-mse.")] = "mpjpe",
    weight: Annotated[float, typer.Option(help="Of that loss beside the heatmaps'.")] = 1.0,
    learning_rate: RateOption = 3e-4,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    licence: LicenceOption = "GPL-3.0-or-later",
    commercial: CommercialOption = False,
) -> None:
    """Train CDRNet on pairs of views: in 2D first, then the triangulated joints too.

    A stopped run goes on where it was: the same command again.
    """
    if loss not in ("mpjpe", "smooth-mse"):
        raise UserError(f"“{loss}” is no loss.", "Choose mpjpe or smooth-mse.")
    _train(
        data, size, occlusion,
        output=output, fused=not baseline, views=2, depth=depth, decoder=decoder, stem=stem, steps=steps, batch=batch,
        backbone=backbone, warm_up=warm_up, loss_2d=loss_2d, loss_3d=loss, weight_3d=weight,
        learning_rate=learning_rate, seed=seed, device=device, licence=licence, commercial=commercial,
    )  # fmt: skip


def _train(data: Path, size: int, occlusion: str, **given: object) -> None:
    from vp3d.stereo.resnet import DEPTHS, STRIDE
    from vp3d.train.occlusion import KINDS, Occlusion
    from vp3d.train.stereo import StereoSettings, train
    from vp3d.train.stereo_views import Variation

    if occlusion not in KINDS:
        raise UserError(f"“{occlusion}” is no way to hide things.", f"Choose one of {', '.join(KINDS)}.")
    if given["loss_2d"] not in ("mse", "cross-entropy"):
        raise UserError(f"“{given['loss_2d']}” is no loss.", "Choose mse or cross-entropy.")
    if given["stem"] not in ("resnet", "detector"):
        raise UserError(f"“{given['stem']}” is no encoder's beginning.", "Choose resnet or detector.")
    if given["depth"] not in DEPTHS:
        raise UserError(f"There is no encoder of {given['depth']} layers.", f"Choose {', '.join(map(str, DEPTHS))}.")
    if size % STRIDE or size < STRIDE:
        raise UserError(f"Crops of {size} px do not fit the network.", f"Give a multiple of {STRIDE}.")
    settings = StereoSettings(size=size, variation=Variation(occlusion=Occlusion(occlusion)), **given)
    with resumable(), Bar() as bar:
        skeleton, splits = _splits(data, size, bar)
        if given["views"] > splits["train"].crops.shape[1]:
            raise UserError(f"“{data}” holds single views only.", "Use a set of several views, or `train pose2d`.")
        settings = replace(settings, skeleton=skeleton)
        about = {"data": data.name, "instants": {name: len(views) for name, views in splits.items()}}
        record = train(settings, splits["train"], splits["test"], about, bar)
    console.print_json(data={name: record[name] for name in ("held_out", "step", "instants")})


def _splits(data: Path, size: int, bar: Bar) -> "tuple[str, dict[str, Views]]":
    from vp3d.train.stereo_sets import read_set

    skeleton, splits = read_set(data, size, bar)
    missing = [name for name in ("train", "test") if name not in splits]
    if missing:
        raise UserError(f"“{data}” holds no {missing[0]} instants yet.", "Make more of them.")
    return skeleton.name, splits


SetOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the set.")]
EveryOption = Annotated[int, typer.Option(min=1, help="Use every n-th frame.")]


def data_mpii(
    annotations: Annotated[Path, typer.Argument(metavar="TRAIN.JSON", help="Annotations in HRNet's form.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of the pictures.")],
    output: SetOption,
    test: Annotated[float, typer.Option(min=0.001, max=0.5, help="Share of the pictures to test on.")] = 0.1,
) -> None:
    """Take people from the MPII set, to train the network for one view."""
    from vp3d.common.skeletons import MPII_16
    from vp3d.train.public_sets import read_mpii
    from vp3d.train.stereo_sets import write_set

    every = max(2, round(1 / test))
    with resumable(), Bar() as bar:
        people = enumerate(read_mpii(annotations, images, bar))
        count = write_set(output, MPII_16, (("test" if i % every == 0 else "train", "", one) for i, one in people))
    console.print(f"{count} people in {output}")


def data_mads(
    folder: Annotated[Path, typer.Argument(metavar="MULTI_VIEW_DATA", help="Folder of the multi-view part of MADS.")],
    output: SetOption,
    test: Annotated[list[str], typer.Option(help="Action to test on, such as Taichi; all others train.")],
    every: EveryOption = 5,
) -> None:
    """Extract synchronous pictures, joints and cameras from MADS, to train CDRNet.

    Whole actions are kept for testing: each was performed by other people.
    """
    from vp3d.common.skeletons import MADS_19
    from vp3d.train.public_sets import read_mads
    from vp3d.train.stereo_sets import write_set

    with resumable(), Bar() as bar:
        instants = read_mads(folder, every, bar)
        entries = (("test" if action in test else "train", action, one) for action, one in instants)
        count = write_set(output, MADS_19, entries)
    console.print(f"{count} instants in {output}")


def data_pose2sim(
    calibration: Annotated[Path, typer.Argument(metavar="CALIBRATION", help="Camera file.")],
    trc: Annotated[Path, typer.Argument(metavar="MARKERS.TRC", help="3D markers at the videos' frame rate.")],
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="One per camera, named as the camera is.")],
    output: SetOption,
    every: EveryOption = 5,
) -> None:
    """Take synchronous pictures, joints and cameras from a Pose2Sim project, to test networks on."""
    from vp3d.common.skeletons import COCO_17
    from vp3d.train.public_sets import read_pose2sim
    from vp3d.train.stereo_sets import write_set

    with resumable(), Bar() as bar:
        instants = read_pose2sim(calibration, trc, {video.stem: video for video in videos}, every, bar)
        count = write_set(output, COCO_17, (("test", trc.stem, one) for one in instants))
    console.print(f"{count} instants in {output}")


def evaluate_stereo(
    data: DataArgument,
    weights: Annotated[list[Path], typer.Argument(metavar="WEIGHTS...", help="Networks to compare.")],
    detector: Annotated[
        str | None, typer.Option(help="Also triangulate what this detector finds: auto, bottom-up, mediapipe.")
    ] = None,
    device: DeviceOption = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Compare stereo networks on people, and on cameras, that their training never saw."""
    import json

    from rich.table import Table

    from vp3d.detect import open_detector
    from vp3d.evaluate.stereo import compare
    from vp3d.files import check_output

    if output:
        check_output(output)
    with resumable(), Bar() as bar:
        rows = compare(data, weights, device, open_detector(detector) if detector else None, bar)
    table = Table("network", "set", "3D mm", "3D mm, root taken out", "2D px", "lost", "M parameters", "ms per pair")
    for row in rows:
        table.add_row(
            row["network"],
            row["set"],
            *(f"{row[name]:.1f}" for name in ("mpjpe_mm", "mpjpe_root_mm", "px")),
            f"{row['missing']:.1%}",
            f"{row['parameters'] / 1e6:.1f}" if row["parameters"] else "",
            f"{row['milliseconds']:.0f}",
        )
    console.print(table)
    if output:
        output.write_text(json.dumps(rows, indent=1), "utf-8")
