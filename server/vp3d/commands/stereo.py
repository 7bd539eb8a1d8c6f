"""`vp3d train pose2d`, `vp3d train cdrnet` and `vp3d evaluate stereo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vp3d.commands.screen import Bar, console, resumable
from vp3d.errors import UserError

if TYPE_CHECKING:
    from vp3d.train.stereo_views import Views

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder of views made by `vp3d data render-people --views N`.")
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")]
DepthOption = Annotated[int, typer.Option(help="Layers of the encoder: 18, 34, 50, 101 or 152.")]
StepsOption = Annotated[int, typer.Option(help="Steps of the optimiser.")]
BatchOption = Annotated[int, typer.Option(help="Instants a step.")]
SizeOption = Annotated[int, typer.Option(help="Side of a crop in pixels, a multiple of 32.")]
OcclusionOption = Annotated[str, typer.Option(help="Hide parts of pictures: none, cutout or hide-and-seek.")]
BackboneOption = Annotated[
    Path | None, typer.Option(help="Weights to start from: of pose2d, or an encoder's as torchvision publishes them.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of the first weights and of all draws.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
LicenceOption = Annotated[str, typer.Option(help="Licence to write into the file.")]
CommercialOption = Annotated[bool, typer.Option(help="Whether that licence allows commercial work.")]


def train_pose2d(
    data: DataArgument,
    output: OutputOption,
    depth: DepthOption = 50,
    steps: StepsOption = 10_000,
    batch: BatchOption = 64,
    size: SizeOption = 256,
    occlusion: OcclusionOption = "none",
    backbone: BackboneOption = None,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    licence: LicenceOption = "GPL-3.0-or-later",
    commercial: CommercialOption = False,
) -> None:
    """Train the network that looks at one view: heatmaps only. It is a backbone for `train cdrnet`, and the baseline.

    A stopped run goes on where it was: the same command again.
    """
    _train(
        data, size, occlusion,
        output=output, fused=False, views=1, depth=depth, steps=steps, batch=batch, backbone=backbone, seed=seed,
        device=device, licence=licence, commercial=commercial,
    )  # fmt: skip


def train_cdrnet(
    data: DataArgument,
    output: OutputOption,
    depth: DepthOption = 50,
    steps: StepsOption = 20_000,
    batch: BatchOption = 32,
    size: SizeOption = 256,
    occlusion: OcclusionOption = "cutout",
    backbone: BackboneOption = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Views share nothing: the same training for the baseline.")
    ] = False,
    warm_up: Annotated[float, typer.Option(help="Share of the steps in 2D only.")] = 0.4,
    loss: Annotated[str, typer.Option(help="Of the 3D joints: mpjpe, or smooth-mse.")] = "mpjpe",
    weight: Annotated[float, typer.Option(help="Of that loss beside the heatmaps'.")] = 1.0,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 1e-3,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    licence: LicenceOption = "GPL-3.0-or-later",
    commercial: CommercialOption = False,
) -> None:
    """Train CDRNet on pairs of views: heatmaps first, then the triangulated joints too.

    A stopped run goes on where it was: the same command again.
    """
    if loss not in ("mpjpe", "smooth-mse"):
        raise UserError(f"“{loss}” is no loss.", "Choose mpjpe or smooth-mse.")
    _train(
        data, size, occlusion,
        output=output, fused=not baseline, views=2, depth=depth, steps=steps, batch=batch, backbone=backbone,
        warm_up=warm_up, loss_3d=loss, weight_3d=weight, learning_rate=learning_rate, seed=seed, device=device,
        licence=licence, commercial=commercial,
    )  # fmt: skip


def _train(data: Path, size: int, occlusion: str, **given: object) -> None:
    from vp3d.stereo.resnet import DEPTHS, STRIDE
    from vp3d.train.occlusion import KINDS, Occlusion
    from vp3d.train.stereo import StereoSettings, train
    from vp3d.train.stereo_views import Variation

    if occlusion not in KINDS:
        raise UserError(f"“{occlusion}” is no way to hide things.", f"Choose one of {', '.join(KINDS)}.")
    if given["depth"] not in DEPTHS:
        raise UserError(f"There is no encoder of {given['depth']} layers.", f"Choose {', '.join(map(str, DEPTHS))}.")
    if size % STRIDE or size < STRIDE:
        raise UserError(f"Crops of {size} px do not fit the network.", f"Give a multiple of {STRIDE}.")
    settings = StereoSettings(size=size, variation=Variation(occlusion=Occlusion(occlusion)), **given)
    with resumable(), Bar() as bar:
        splits = _splits(data, size, bar)
        about = {"data": data.name, "instants": {name: len(views) for name, views in splits.items()}}
        record = train(settings, splits["train"], splits["test"], about, bar)
    console.print_json(data={name: record[name] for name in ("held_out", "step", "instants")})


def _splits(data: Path, size: int, bar: Bar) -> "dict[str, Views]":
    from vp3d.train.stereo_sets import read_rendered

    splits = read_rendered(data, size, bar)
    missing = [name for name in ("train", "test") if name not in splits]
    if missing:
        raise UserError(f"“{data}” holds no {missing[0]} instants yet.", "Render more of them.")
    return splits


def evaluate_stereo(
    data: DataArgument,
    weights: Annotated[list[Path], typer.Argument(metavar="WEIGHTS...", help="Networks to compare.")],
    device: DeviceOption = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Compare stereo networks on people, and on cameras, that their training never saw."""
    import json

    from rich.table import Table

    from vp3d.evaluate.stereo import compare
    from vp3d.files import check_output

    if output:
        check_output(output)
    with resumable(), Bar() as bar:
        rows = compare(data, weights, device, bar)
    table = Table("network", "set", "3D mm", "3D mm, root taken out", "2D px", "lost", "M parameters", "ms per pair")
    for row in rows:
        table.add_row(
            row["network"],
            row["set"],
            *(f"{row[name]:.1f}" for name in ("mpjpe_mm", "mpjpe_root_mm", "px")),
            f"{row['missing']:.1%}",
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['milliseconds']:.0f}",
        )
    console.print(table)
    if output:
        output.write_text(json.dumps(rows, indent=1), "utf-8")
