"""A part of the frames instead of all: the same three settings in every room that has them."""

import bpy
from bpy.props import BoolProperty, IntProperty


def frame_range(of: str, least: int = -1_048_574) -> type:
    """A mix-in for property groups.

    Args:
        of: what the frames belong to, as in "First frame of …".
        least: number of the first frame there can be.
    """

    class FrameRange:
        """Whether a part of the frames is used, and which."""

        use_range: BoolProperty(name="Range", description=f"Use a part of the frames of {of} instead of all")
        first: IntProperty(name="First", description=f"First frame of {of} that is used", default=1, min=least)
        last: IntProperty(name="Last", description=f"Last frame of {of} that is used", default=250, min=least)

        @property
        def chosen_frames(self) -> tuple[int, int] | None:
            """First and last frame, None for all; raises ValueError, with a sentence, for a range that is none."""
            if self.use_range and self.last < self.first:
                raise ValueError("The last frame comes before the first one: change the frame range.")
            return (self.first, self.last) if self.use_range else None

    return FrameRange


def draw_frame_range(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """Draw the settings of the mix-in."""
    layout.row(heading="Frames").prop(settings, "use_range")
    if settings.use_range:
        column = layout.column(align=True)
        column.prop(settings, "first")
        column.prop(settings, "last")
