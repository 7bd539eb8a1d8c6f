"""One self-contained page about a take: what was found, how sure it is, and what to mind."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from vp3d import charts
from vp3d.common.skeletons import COCO_17
from vp3d.common.take import Source, Take
from vp3d.detect import SEEN, WEIGHTS
from vp3d.files import written_whole
from vp3d.models import MODELS
from vp3d.refine.lens import FULL_FRAME_DIAGONAL
from vp3d.truth import Offsets, compare

_STAGES = {
    "detect": "Find joints",
    "track": "Follow people",
    "background": "Look at the background",
    "camera": "Follow the camera",
    "adapt": "Adapt the lifter",
    "lift": "Lift to 3D",
    "refine": "Solve camera and world",
}

_GRAVITY = {"people": "how people keep their balance", "background": "straight edges of the background"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{title}</title><style>{style}</style></head><body>{body}</body></html>
"""

_STYLE = """
:root{--paper:#fbfbfa;--card:#fff;--ink:#22262b;--dim:#6a7178;--rule:#e3e5e8;--warn:#fff3d6;--warn-ink:#6d4c00;
--c0:#2f7fd8;--c1:#e0702b;--c2:#2e9e62;--c3:#a34fc4;--c4:#c4952a}
@media(prefers-color-scheme:dark){:root{--paper:#17191c;--card:#1f2226;--ink:#e6e8ea;--dim:#98a0a8;--rule:#33383e;
--warn:#3b300f;--warn-ink:#ffdf8d;--c0:#59b2f9;--c1:#f9a059;--c2:#66de7d;--c3:#d78cf0;--c4:#ffd60a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.2rem 3rem;max-width:56rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:0;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:2rem 0 .5rem}
header p,.note,em{color:var(--dim);font-style:normal;margin:.3rem 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1.2rem 0}
.figures div,.box{background:var(--card);border:1px solid var(--rule);border-radius:.6rem;padding:.8rem 1rem}
.figures b{display:block;font-size:1.45rem;font-weight:600;line-height:1.25}
.figures span{color:var(--dim);font-size:.85rem}
ul.warnings{background:var(--warn);color:var(--warn-ink);border-radius:.6rem;padding:.8rem 1rem .8rem 2.2rem;margin:0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .8rem .35rem 0;vertical-align:top;
border-bottom:1px solid var(--rule)}tr:last-child>*{border-bottom:0}th{font-weight:500;color:var(--dim)}
td+td{overflow-wrap:anywhere}td:first-child{padding-right:1.4rem;white-space:nowrap}td.n{white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
svg{display:block;width:100%;height:auto;font-size:11px}.grid{stroke:var(--rule)}.track{fill:var(--rule);opacity:.5}
.tick{fill:var(--dim)}.end{text-anchor:end}.mid{text-anchor:middle}.line{fill:none;stroke-width:1.6;stroke-linejoin:round}
.legend{margin:.5rem 0 0;font-size:.85rem;display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin-right:.35rem;vertical-align:-.1rem}
"""


def write_report(take: Take, path: Path, truth: dict | None = None) -> None:
    """Write an HTML page that needs nothing but itself.

    Args:
        take: what to report on.
        path: file to write; it appears whole or not at all.
        truth: what is known of the clip, as `truth.compare` takes it; adds how far off the take is.

    Raises:
        UserError: the truth does not fit, or the file cannot be written.
    """
    offsets = compare(take, truth) if truth else []
    name = str(take.video.get("name", "Take"))
    sections = (
        _header(take, name),
        _figures(take),
        _warnings(take),
        _section("How far off it is", _truth_table(offsets)) if offsets else "",
        _section("People", _people(take)),
        _section("How far the 3D lies from the plate", _residuals(take)),
        _section("How far each joint lies from the plate", _joint_residuals(take)),
        _section("How sure the joints are", _confidences(take)),
        _section("Lens and camera", _lens(take)),
        _section("Detector and lifter", _models(take)),
        _section("Time", _timings(take)),
        _section("What was asked for", _settings(take)),
    )
    page = _PAGE.format(title=f"{escape(name)} · VP3D Mocap", style=_STYLE, body="".join(sections))
    with written_whole(Path(path)) as partial:
        partial.write_text(page, encoding="utf-8")


def _section(title: str, content: str) -> str:
    return f'<section><h2>{escape(title)}</h2><div class="box">{content}</div></section>' if content else ""


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A table whose cells are escaped; numbers, as texts that begin with a digit, align right."""

    def line(tag: str, cells: Sequence[object]) -> str:
        texts = [str(cell) for cell in cells]
        # A column's heading stands over its numbers.
        numeric = [i > 0 and all(str(row[i])[:1] in "0123456789−+–" for row in rows) for i in range(len(cells))]
        return (
            "<tr>"
            + "".join(
                f"<{tag}{' class=n' if number else ''}>{escape(text)}</{tag}>"
                for text, number in zip(texts, numeric, strict=True)
            )
            + "</tr>"
        )

    return f"<table>{line('th', head) if head else ''}{''.join(line('td', row) for row in rows)}</table>"


def _number(value: object, form: str = "{:.1f}", unit: str = "") -> str:
    """A number with its unit, or a dash where there is none."""
    if not isinstance(value, int | float | np.number) or not math.isfinite(value):
        return "–"
    return (form.format(value) + (f" {unit}" if unit else "")).replace("-", "−")


def _person(take: Take, person: int) -> str:
    return f"Person {take.person_ids[person]}"


def _seconds(take: Take) -> float:
    return len(take.frames) * int(take.video.get("every", 1)) / float(take.fps)


def _header(take: Take, name: str) -> str:
    video = take.video
    about = [
        f"{video['width']} × {video['height']} px" if "width" in video else "",
        f"{float(take.fps):.3g} frames a second",
        f"frames {take.frames[0]} to {take.frames[-1]}" if len(take.frames) else "no frames",
        f"every {video['every']}th" if video.get("every", 1) != 1 else "",
        f"VP3D Mocap {take.report['version']}" if "version" in take.report else "",
    ]
    return f"<header><h1>{escape(name)}</h1><p>{escape(' · '.join(filter(None, about)))}</p></header>"


def _residual_values(take: Take, person: int) -> np.ndarray:
    """Residuals (T, 17) px of joints that were really seen."""
    seen = take.confidence[person, :, : len(COCO_17)] >= SEEN
    measured = take.source[person, :, : len(COCO_17)] != Source.INTERPOLATED
    return np.where(seen & measured, take.residual_px[person], np.nan)


def _median(values: np.ndarray) -> float:
    """Median without NaN; NaN where nothing else is left."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def _figures(take: Take) -> str:
    residuals = [_residual_values(take, person) for person in range(len(take.person_ids))]
    residual = _median(np.array(residuals))
    timings = take.report.get("timings", {})
    spent = sum(stage.get("seconds", 0) for stage in timings.values())
    resumed = any(stage.get("frames", 0) < len(take.frames) for stage in timings.values())
    found = take.report.get("people_found", len(take.person_ids))
    figures = [
        (f"{len(take.person_ids)} of {found}", "people captured"),
        (str(len(take.frames)), f"frames, {_seconds(take):.1f} s of video"),
        (_number(residual, "{:.1f}", "px"), "median distance of 3D from the plate"),
    ]
    if spent and not resumed:
        figures.append((f"{len(take.frames) / spent:.1f}", "frames per second, all stages"))
    return '<div class="figures">' + "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in figures
    ) + "</div>"  # fmt: skip


def _warnings(take: Take) -> str:
    items = "".join(f"<li>{escape(str(warning))}</li>" for warning in take.report.get("warnings", []))
    return f'<section><h2>Please note</h2><ul class="warnings">{items}</ul></section>' if items else ""


def _truth_table(offsets: list[Offsets]) -> str:
    rows = [
        ["2D joints", *(_number(o.joints2d_px, "{:.1f}", "px") for o in offsets)],
        ["Pose, from the hips (MPJPE)", *(_number(o.pose_m * 1000, "{:.0f}", "mm") for o in offsets)],
        ["Pose, best fit (P-MPJPE)", *(_number(o.shape_m * 1000, "{:.0f}", "mm") for o in offsets)],
        ["Place before the camera", *(_number(o.place_m * 100, "{:.0f}", "cm") for o in offsets)],
        ["Distance from the camera", *(_number((o.depth_ratio - 1) * 100, "{:+.1f}", "%") for o in offsets)],
        ["Focal length", *(_number((o.focal_ratio - 1) * 100, "{:+.1f}", "%") for o in offsets)],
        ["Vertical", *(_number(o.upright_deg, "{:.1f}", "°") for o in offsets)],
        ["Height of the camera", *(_number(o.camera_height_m * 100, "{:+.0f}", "cm") for o in offsets)],
        ["Frames compared", *(o.frames for o in offsets)],
    ]
    note = "The joints and the camera of this clip are known exactly. Values are medians over frames."
    return _table(["", *(f"Person {o.person_id}" for o in offsets)], rows) + _note(note)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _people(take: Take) -> str:
    rows: list[list[object]] = []
    for person in range(len(take.person_ids)):
        present = take.present(person)
        coco = np.isfinite(take.joints2d[person, :, : len(COCO_17), 0])
        made = coco & (take.source[person, :, : len(COCO_17)] == Source.INTERPOLATED)
        confidence = take.confidence[person, :, : len(COCO_17)][coco]
        residual = _residual_values(take, person)
        known = residual[np.isfinite(residual)]
        rows.append([
            _person(take, person),
            f"{present.sum()} ({present.mean():.0%})",
            _number(float(confidence.mean()) if len(confidence) else None, "{:.2f}"),
            f"{made.sum() / max(coco.sum(), 1):.0%}",
            _number(_median(known), "{:.1f}", "px"),
            _number(np.quantile(known, 0.9) if len(known) else None, "{:.1f}", "px"),
        ])  # fmt: skip
    if not rows:
        return ""
    return _table(["", "frames", "confidence", "joints interpolated", "distance, median", "90 %"], rows)


def _residuals(take: Take) -> str:
    series = {
        _person(take, p): np.array([_median(joints) for joints in _residual_values(take, p)])
        for p in range(len(take.person_ids))
    }
    chart = charts.line_chart(take.frames, series, "frame of the video", "median distance of the joints, px")
    note = (
        f"Distance between the joints found in the picture, with confidence {SEEN} or more, and the 3D joints seen "
        "through the solved camera."
    )
    return chart + _note(note) if chart else ""


def _joint_residuals(take: Take) -> str:
    people = range(len(take.person_ids))
    residuals = [_residual_values(take, person) for person in people]
    rows = [
        [name.replace("_", " "), *(_spread(values[:, joint]) for values in residuals)]
        for joint, name in enumerate(COCO_17.joints)
        if any(np.isfinite(values[:, joint]).any() for values in residuals)
    ]
    if not rows:
        return ""
    note = "Median over frames, and in brackets what 90 % of the frames stay below; the face has no joints in 3D."
    return _table(["", *(_person(take, person) for person in people)], rows) + _note(note)


def _spread(values: np.ndarray) -> str:
    """Median and 90 % quantile (px) of what is known."""
    known = values[np.isfinite(values)]
    return f"{np.median(known):.1f} px ({np.quantile(known, 0.9):.1f})" if len(known) else "–"


def _confidences(take: Take) -> str:
    series = {
        _person(take, p): take.confidence[p, :, : len(COCO_17)].mean(0) for p in range(len(take.person_ids))
    }  # fmt: skip
    if not series:
        return ""
    names = [joint.replace("_", " ") for joint in COCO_17.joints]
    note = "Mean over all frames of the take; a joint that was not found counts as 0."
    return charts.bar_chart(names, series, "confidence, 0 to 1") + _note(note)


def _lens(take: Take) -> str:
    lens, solve = take.report.get("lens", {}), take.report.get("solve", {})
    focal = float(np.median(take.camera_K[:, 0, 0]))
    sigma = solve.get("lens", {}).get("focal_sigma_relative", lens.get("focal_sigma", 0))
    rows = [["Focal length", f"{focal:.0f} px" + (f", to about ± {sigma:.0%}" if sigma else "")]]
    if lens.get("note"):
        rows.append(["", lens["note"]])
    width, height = take.video.get("width"), take.video.get("height")
    if width and height:
        across = math.degrees(2 * math.atan(width / 2 / focal))
        equivalent = focal * FULL_FRAME_DIAGONAL / math.hypot(width, height)
        rows.append(["That is", f"{across:.0f}° across, like a {equivalent:.0f} mm lens on full frame"])
    rows.append(["Camera", "moves" if len(take.camera_R) > 1 else "stands still"])
    camera = solve.get("camera", {})
    for key, label, form, unit in (
        ("height_m", "Height above the floor", "{:.2f}", "m"),
        ("pitch_deg", "Pitch", "{:+.1f}", "°"),
        ("roll_deg", "Roll", "{:+.1f}", "°"),
    ):
        if key in camera:
            rows.append([label, _number(camera[key], form, unit) + _give_or_take(camera, key)])
    if camera.get("gravity_from"):
        rows.append(["Vertical found from", " and ".join(_GRAVITY.get(name, name) for name in camera["gravity_from"])])
    for person in solve.get("people", ()):
        if "depth_sigma_relative" in person:
            rows.append([f"Distance of person {person['person']}", f"to about ± {person['depth_sigma_relative']:.0%}"])
    return _table([], rows)


def _give_or_take(camera: dict, key: str) -> str:
    sigma = dict(zip(("roll_deg", "pitch_deg"), camera.get("tilt_sigma_deg", ()), strict=False)).get(key)
    return f" ± {sigma:.1f}°" if sigma is not None else ""


def _models(take: Take) -> str:
    rows = []
    for key, label in (("detector", "Detector"), ("lifter", "Lifter")):
        about = take.report.get(key)
        if not about:
            continue
        name = str(about.get("name", ""))
        model = MODELS.get(WEIGHTS.get(name, name))  # a lifter is called what its weights are
        commercial = about.get("commercial", model.commercial if model else None)
        use = {True: "commercial work allowed", False: "not for commercial work"}.get(commercial, "")
        licence = "Weights: " + ", ".join(filter(None, [about.get("licence", "licence unknown"), use])) + "."
        rows.append([label, about.get("description") or name])
        rows.append(["", f"{licence} {model.credit + '.' if model else ''}"])
    return _table([], rows) if rows else ""


def _timings(take: Take) -> str:
    rows = []
    for stage, timing in take.report.get("timings", {}).items():
        seconds, frames = timing.get("seconds", 0), timing.get("frames", 0)
        rate = "from the cache" if timing.get("cached") else _number(frames / seconds if seconds else None, "{:.1f}")
        rows.append([_STAGES.get(stage, stage.capitalize()), _number(seconds, "{:.1f}", "s"), rate])
    return _table(["", "time", "frames per second"], rows) if rows else ""


def _settings(take: Take) -> str:
    rows = [[key.replace("_", " "), value] for key, value in take.settings.items() if value is not None]
    return _table([], rows) if rows else ""
