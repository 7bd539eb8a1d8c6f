"""Evaluations as tables for people; the JSON has the same figures."""

from collections.abc import Iterator

from rich.table import Column, Table

_HEADS = {"mpjpe": "MPJPE", "p_mpjpe": "P-MPJPE", "n_mpjpe": "N-MPJPE", "mpjve": "MPJVE"}
_2D = {"perfect": "perfect 2D", "noisy": "modelled errors", "detected": "real detections"}

_ABLATED = {
    "px": ("px", "{:.1f}"),
    "p_mpjpe_mm": ("P-MPJPE", "{:.1f}"),
    "jitter_mm": ("jitter", "{:.2f}"),
    "foot_cm_s": ("feet", "{:.1f}"),
    "pitch_deg": ("pitch", "{:+.1f}"),
    "roll_deg": ("roll", "{:+.1f}"),
    "height": ("height", "{:+.1%}"),
}
_SOLVED = {
    "rotation_deg": ("camera's rotation, degrees", 1, "{:.2f}"),
    "floor_deg": ("floor's normal, degrees", 1, "{:.2f}"),
    "root_share": ("root, % of depth", 100, "{:.1f}"),
    "residual_ratio": ("reprojection error / noise", 1, "{:.2f}"),
    "focal_ratio": ("focal length, solved / true", 1, "{:.2f}"),
    "depth_ratio": ("depth, solved / true", 1, "{:.2f}"),
    "focal_covered": ("90 % interval holds the focal length", 1, ""),
    "depth_covered": ("90 % interval holds the depth", 1, ""),
    "tilt_covered": ("90 % interval holds roll and pitch", 1, ""),
}
"""How trials are shown: what each figure is called, its unit and its digits; medians and 90 % quantiles."""


def lifter_tables(report: dict) -> Iterator[Table]:
    """What `vp3d evaluate lifter` found: the network, errors by kind of 2D joints, by action, joint and posture, and
    over lenses; mm, velocity in mm a frame."""
    about, results = report["lifter"], {name: report[name] for name in _2D if name in report}
    table = Table(title=f"{about['name']} ({about['licence'] or 'licence not stated'})", show_header=False)
    table.add_row("receptive field", f"{about['receptive_field']} frames at {about['fps']:g} Hz")
    table.add_row("looks", "back only (causal)" if about["causal"] else "both ways")
    table.add_row("parameters", f"{about['parameters']:,}")
    table.add_row("FLOPs a frame", f"{about['flops_per_frame'] / 1e6:.2f} M, layers shared between frames")
    table.add_row("FLOPs a window", f"{about['flops_per_window'] / 1e6:.2f} M")
    if "speed" in report:
        speed = report["speed"]
        table.add_row("frames per second", f"{speed['without_flip']:,.0f}; flip-averaged {speed['with_flip']:,.0f}")
    yield table

    rows = {}
    for name, result in results.items():
        rows[_2D[name]] = result
        if "without_flip" in result:
            rows[f"{_2D[name]}, no flip averaging"] = result["without_flip"]
        if len(result.get("actions", ())) > 1:
            rows[f"{_2D[name]}, mean over actions"] = result["actions_mean"]
    yield _errors("Errors, mm (velocity: mm a frame)", rows)
    for name, result in results.items():
        if len(result.get("actions", ())) > 1:
            yield _errors(f"By action, {_2D[name]}", result["actions"])
        changed = {f"{posture}, changed motion": means for posture, means in result.get("changed_postures", {}).items()}
        if postures := result.get("postures", {}) | changed:
            yield _errors(f"By posture, {_2D[name]}", postures)
    joints = {joint for result in results.values() for joint in result.get("joints", ())}
    if joints:
        yield _columns("By joint, mm", {_2D[name]: result["joints"] for name, result in results.items()})
    if "focal" in report:
        yield _errors("Assumed over true focal length", report["focal"])
        yield _errors("Field of view, degrees", report["field_of_view"])


def take_table(report: dict) -> Table:
    """What `vp3d evaluate take` found, mm."""
    rows = {"solved": report["solved"]} | ({"lifted": report["lifted"]} if "lifted" in report else {})
    heads = _HEADS | {"jitter": "jitter", "reference_jitter": "reference's", "bone_spread": "bone spread"}
    heads = {key: head for key, head in heads.items() if any(key in row for row in rows.values())}
    table = Table("", *(Column(head, justify="right") for head in heads.values()), title=f"Person {report['person']}")
    for name, row in rows.items():
        cells = [
            f"{row[key]:.1%}" if key == "bone_spread" else f"{row[key]:.1f}" if key in row else "" for key in heads
        ]
        table.add_row(name, *cells)
    return table


def study_table(summary: list[dict]) -> Table:
    """What `vp3d train label-study` found, MPJPE in mm."""
    heads = (Column(head, justify="right") for head in ("labels", "supervised", "semi-supervised", "better by"))
    table = Table(*heads, title="MPJPE, mm, mean ± standard deviation over the seeds")
    for row in summary:
        errors = [f"{row[name]:.1f} ± {row[f'{name}_spread']:.1f}" for name in ("supervised", "semi_supervised")]
        table.add_row(f"{row['share']:.0%}", *errors, f"{row['gain']:.1%}")
    return table


def recipe_table(rows: list[dict]) -> Table:
    """What `vp3d train recipe-study` found."""
    kinds = {"perfect": "perfect 2D", "noisy": "modelled errors", "bent": "bent to sit", "built": "other bodies"}
    heads = (Column(head, justify="right") for head in kinds.values())
    table = Table("", "seed", *heads, title="MPJPE / P-MPJPE on held-out takes, mm")
    for row in rows:
        errors = (f"{row[kind]['mpjpe']:.1f} / {row[kind]['p_mpjpe']:.1f}" for kind in kinds)
        table.add_row(row["variant"], str(row["seed"]), *errors)
    return table


def _errors(title: str, rows: dict[str, dict]) -> Table:
    heads = [*(Column(head, justify="right") for head in _HEADS.values()), Column("frames", justify="right")]
    table = Table("", *heads, title=title)
    for name, row in rows.items():
        cells = [f"{row[key]:.1f}" if key in row else "" for key in _HEADS]
        table.add_row(name, *cells, f"{row['frames']:,}" if "frames" in row else "")
    return table


def _columns(title: str, columns: dict[str, dict[str, float]]) -> Table:
    table = Table("", *(Column(head, justify="right") for head in columns), title=title)
    for name in next(iter(columns.values())):
        table.add_row(name, *(f"{column[name]:.1f}" if name in column else "" for column in columns.values()))
    return table


def solve_table(report: dict) -> Table:
    """What `vp3d evaluate solve` found."""
    kinds = [kind for kind in report if kind != "trials"]
    table = Table(
        "", *(Column(kind, justify="right") for kind in kinds), title=f"{report['trials']} people, solved alone"
    )
    for name, (head, factor, form) in _SOLVED.items():
        cells = []
        for kind in kinds:
            value = report[kind][name]
            cells.append(
                " / ".join(form.format(factor * part) for part in value) if isinstance(value, list) else f"{value:.0%}"
            )
        table.add_row(head, *cells)
    return table


def ablation_table(name: str, parts: dict[str, dict[str, float]]) -> Table:
    """What every part of the solve adds: mm, cm/s of planted feet, and degrees and share of the camera's errors."""
    table = Table(name, *(Column(head, justify="right") for head, _ in _ABLATED.values()))
    for part, figures in parts.items():
        table.add_row(part, *(form.format(figures[key]) for key, (_, form) in _ABLATED.items()))
    return table
