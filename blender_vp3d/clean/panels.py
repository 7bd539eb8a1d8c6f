"""The panel 'Clean Up' in the sidebar tab VP3D."""

import bpy

from .. import contact_keys
from ..frame_range import draw_frame_range
from ..texts import paragraph
from . import steps, versions
from .operators import chosen

_DONE = {steps.SMOOTH: "smoothed", steps.FEET: "feet held", steps.KEYS: "keys reduced"}


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"


class _Part(_Sidebar):
    bl_parent_id = "VP3D_PT_clean"
    bl_options = {"DEFAULT_CLOSED"}


class VP3D_PT_clean(_Sidebar, bpy.types.Panel):
    """What is cleaned, and the two versions of it."""

    bl_label = "Clean Up"
    bl_order = 6
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the armature, its versions and the range."""
        layout, settings = self.layout, context.scene.vp3d_clean
        layout.use_property_split = True
        layout.use_property_decorate = False
        armatures = chosen(context)
        if not armatures:
            paragraph(layout, context, "Select an armature with keyframes.", "INFO")
            return
        first = armatures[0]
        more = f" and {len(armatures) - 1} more" if len(armatures) > 1 else ""
        layout.label(text=first.name + more, icon="ARMATURE_DATA")
        if versions.clean(first):
            clean = versions.shows_clean(first)
            row = layout.row(align=True)
            row.operator("vp3d.toggle_raw", text="Clean" if clean else "Raw", icon="ARROW_LEFTRIGHT", depress=clean)
            row.operator("vp3d.discard_clean", text="", icon="X")
            done = ", ".join(word for step, word in _DONE.items() if step in versions.steps(first))
            paragraph(layout, context, f"The clean motion: {done}.", "CHECKMARK")
        draw_frame_range(layout, settings)


class VP3D_PT_clean_smooth(_Part, bpy.types.Panel):
    """Pops and noise."""

    bl_label = "Smooth"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the strengths, in seconds."""
        layout, settings = self.layout, context.scene.vp3d_clean
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "pops")
        column = layout.column(align=True)
        for part in steps.PARTS:
            column.prop(settings, part)
        layout.operator("vp3d.clean", icon="MOD_SMOOTH")


class VP3D_PT_clean_feet(_Part, bpy.types.Panel):
    """Contacts and how they hold the feet."""

    bl_label = "Feet"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the contacts of the first armature, thresholds and how feet are held."""
        layout, settings = self.layout, context.scene.vp3d_clean
        layout.use_property_split = True
        armature = next(iter(chosen(context)), None)
        if armature and all(name in armature for name in contact_keys.PROPERTIES):
            column = layout.column(align=True)
            for (_, label), path in zip(contact_keys.PROPERTIES.items(), contact_keys.PATHS, strict=True):
                column.prop(armature, path, text=label)
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(settings, "height")
        column.prop(settings, "speed")
        layout.operator("vp3d.find_contacts", icon="VIEWZOOM")
        layout.separator()
        column = layout.column(align=True)
        for name in ("strength", "blend", "reach"):
            column.prop(settings, name)
        row = layout.row(heading="Floor")
        row.prop(settings, "use_floor", text="")
        part = row.row()
        part.enabled = settings.use_floor
        part.prop(settings, "floor", text="")
        layout.operator("vp3d.lock_feet", icon="CON_KINEMATIC")


class VP3D_PT_clean_keys(_Part, bpy.types.Panel):
    """Few keys."""

    bl_label = "Keys"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the bounds."""
        layout, settings = self.layout, context.scene.vp3d_clean
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(settings, "bound_angle")
        column.prop(settings, "bound_mm")
        layout.operator("vp3d.reduce_keys", icon="IPO_BEZIER")


classes = (VP3D_PT_clean, VP3D_PT_clean_smooth, VP3D_PT_clean_feet, VP3D_PT_clean_keys)
register, unregister = bpy.utils.register_classes_factory(classes)
