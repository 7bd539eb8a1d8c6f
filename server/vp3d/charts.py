"""Small charts as inline SVG; colours come from the page's CSS variables `--c0` … and its classes."""

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 760, 220  # units of the drawing; the page scales it
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 30
_POINTS = 400  # more would not be seen

COLOURS = 5
"""How many colours `--c0` … the page defines."""


def line_chart(x: np.ndarray, series: dict[str, np.ndarray], x_title: str, y_title: str) -> str:
    """Lines over a common axis, broken where values are NaN, from 0 up.

    Args:
        x: (T,) positions.
        series: values (T,) by name.
        x_title: what `x` counts.
        y_title: what the values are, with the unit.
    """
    known = np.concatenate([values[np.isfinite(values)] for values in series.values()] or [np.zeros(0)])
    if not len(known):
        return ""
    # One wild frame should not flatten the rest.
    top = _nice(float(min(known.max(), 3 * np.quantile(known, 0.95))) or 1.0)
    low, high = float(x[0]), float(x[-1])

    def across(value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - low) / ((high - low) or 1)

    def up(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * min(value / top, 1.02)

    parts = []
    for tick in np.linspace(0, top, 5):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{up(tick) + 4:.1f}">{tick:g}</text>')
    step = max(_nice((high - low) / 6 or 1), 1)
    for tick in step * np.arange(np.ceil(low / step), np.floor(high / step) + 1):
        parts.append(f'<text class="tick mid" x="{across(tick):.1f}" y="{HEIGHT - _BOTTOM + 16}">{tick:g}</text>')
    for number, (name, values) in enumerate(series.items()):
        path, pen = [], "M"
        for position, value in zip(*_binned(x, values), strict=True):
            if np.isfinite(value):
                path.append(f"{pen}{across(position):.1f} {up(value):.1f}")
                pen = "L"
            else:
                pen = "M"
        style = f"stroke:var(--c{number % COLOURS})"
        parts.append(f'<path class="line" style="{style}" d="{"".join(path)}"><title>{escape(name)}</title></path>')
    return _svg(parts, f"{y_title} over {x_title}") + _legend(list(series), x_title, y_title)


def bar_chart(names: Sequence[str], series: dict[str, np.ndarray], unit: str = "") -> str:
    """Horizontal bars from 0 to 1: for every name, one for every series.

    Args:
        names: N labels.
        series: values (N,) 0..1 by name.
        unit: what the values are.
    """
    thick = 12 if len(series) == 1 else 7
    row = thick * len(series) + 5
    left = 130
    parts = []
    for i, name in enumerate(names):
        y = i * row
        parts.append(f'<text class="tick end" x="{left - 8}" y="{y + row / 2 + 2:.1f}">{escape(name)}</text>')
        for number, values in enumerate(series.values()):
            value = float(np.nan_to_num(values[i]))
            at, length = y + number * thick, (WIDTH - left - 50) * min(max(value, 0), 1)
            parts.append(f'<rect class="track" x="{left}" y="{at}" width="{WIDTH - left - 50}" height="{thick - 2}"/>')
            fill = f"fill:var(--c{number % COLOURS})"
            parts.append(f'<rect style="{fill}" x="{left}" y="{at}" width="{length:.1f}" height="{thick - 2}"/>')
            if len(series) == 1:
                parts.append(f'<text class="tick" x="{WIDTH - 44}" y="{at + thick - 2}">{value:.2f}</text>')
    return _svg(parts, unit, len(names) * row) + (_legend(list(series), "", unit) if len(series) > 1 else "")


def _svg(parts: list[str], title: str, height: float = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title, quote=True)}">'
        + "".join(parts)
        + "</svg>"
    )


def _legend(names: list[str], x_title: str, y_title: str) -> str:
    keys = "".join(
        f'<span><i style="background:var(--c{number % COLOURS})"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    axes = " · ".join(escape(title) for title in (y_title, f"across: {x_title}" if x_title else "") if title)
    return f'<p class="legend">{keys}<em>{axes}</em></p>'


def _nice(value: float) -> float:
    """The next number of 1, 2, 4, 5, 8 × 10^n that is not below `value`."""
    power = 10 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999))


def _binned(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `_POINTS` points: medians of neighbours, NaN where all are."""
    size = -(-len(x) // _POINTS)
    if size <= 1:
        return x, values
    chunks = [values[i : i + size] for i in range(0, len(x), size)]
    medians = [np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else np.nan for c in chunks]
    return x[::size], np.array(medians)
