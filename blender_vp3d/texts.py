"""Words for the user."""

import re
import textwrap
from pathlib import Path

import bpy

_CHARACTER = 6.2  # px at interface scale 1, average of the default font
_MARGIN = 70.0  # px that panel, box and icon take


def paragraph(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "BLANK1") -> None:
    """Draw `text` as as many labels as it needs, the first one with the icon; "NONE" draws without any indent.

    Blender's labels do not wrap, so lines are broken to the width of the region.
    """
    width = context.region.width if context.region else 300
    scale = context.preferences.system.ui_scale or 1.0  # 0 in background mode
    column = layout.column(align=True)
    column.scale_y = 0.8
    for line in textwrap.wrap(text, max(16, int((width - _MARGIN * scale) / (_CHARACTER * scale)))):
        column.label(text=line, icon=icon)
        icon = "BLANK1" if icon != "NONE" else "NONE"


def offered(operator: type[bpy.types.Operator], given: object, otherwise: str) -> bool:
    """For an operator's `poll`: whether there is what it needs; if not, its button says so."""
    if not given:
        operator.poll_message_set(otherwise)
    return bool(given)


def video_title(name: str) -> str:
    """A video's file name without suffix, and without the numbering of a pattern such as shot.####.png."""
    return re.sub(r"[%#]+\w*", "", Path(name).stem).strip("-_. ")
