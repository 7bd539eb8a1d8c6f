"""The panel 'Retarget' in the sidebar tab VP3D."""

import bpy

from ..frame_range import draw_frame_range
from ..texts import paragraph
from . import apply, body


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"


class VP3D_UL_retarget_pairs(bpy.types.UIList):
    """Rigs, with the motion that each gets."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flag=0) -> None:
        """Draw one pair."""
        layout.use_property_split = False
        row = layout.row(align=True)
        row.prop(item, "use", text="")
        row.label(text=item.source.name if item.source else "…")
        row.label(text=item.target.name if item.target else "…", icon="FORWARD")


class VP3D_UL_mapping(bpy.types.UIList):
    """Bones of a body beside those of an armature."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flag=0) -> None:
        """Draw one bone."""
        layout.use_property_split = False
        armature = context.scene.vp3d_retarget.mapped_armature
        split = layout.split(factor=0.4)
        split.label(text=body.LABELS[item.bone])
        if armature:
            split.prop_search(item, "name", armature.data, "bones", text="")
        if any(item.offset):
            layout.label(text="", icon="ORIENTATION_GIMBAL")


class VP3D_PT_retarget(_Sidebar, bpy.types.Panel):
    """Sources, rigs, and the button."""

    bl_label = "Retarget"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the pairs, what is known of the active one, and the button."""
        layout, settings = self.layout, context.scene.vp3d_retarget
        layout.use_property_split = True
        layout.use_property_decorate = False
        row = layout.row()
        row.template_list("VP3D_UL_retarget_pairs", "", settings, "pairs", settings, "active", rows=2, maxrows=6)
        buttons = row.column(align=True)
        buttons.operator("vp3d.retarget_add", text="", icon="ADD")
        buttons.operator("vp3d.retarget_remove", text="", icon="REMOVE")
        pair = settings.pair
        if pair is None:
            paragraph(layout, context, "Select your character's rig and add it with +.", "INFO")
            layout.operator("vp3d.import_bvh", text="Import BVH…", icon="FILE_FOLDER")
            return
        row = layout.row(align=True)
        row.prop(pair, "source")
        row.operator("vp3d.import_bvh", text="", icon="FILE_FOLDER")
        layout.prop(pair, "target")
        _draw_state(layout, context, pair)
        row = layout.row()
        row.scale_y = 1.5
        row.operator("vp3d.retarget", icon="CON_ARMATURE")


def _draw_state(layout: bpy.types.UILayout, context: bpy.types.Context, pair: bpy.types.PropertyGroup) -> None:
    """What was recognised, and what is amiss."""
    for armature, mapping in ((pair.source, pair.source_mapping), (pair.target, pair.target_mapping)):
        if armature is None:
            continue
        lacking = apply.missing(mapping.bones)
        layout.label(text=f"{armature.name}: {mapping.label}", icon="ERROR" if lacking else "CHECKMARK")
        if lacking:
            paragraph(layout, context, f"No bone is known for {', '.join(lacking)}: see Mapping.", "INFO")
    if pair.target and pair.target.library and not pair.target.override_library:
        paragraph(layout, context, "This rig is linked: make a library override of it first.", "ERROR")
    elif pair.target and (table := pair.target_mapping.table) and table.note:
        paragraph(layout, context, table.note, "INFO")


class VP3D_PT_retarget_options(_Sidebar, bpy.types.Panel):
    """How to retarget, and what to bake."""

    bl_label = "Options"
    bl_parent_id = "VP3D_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw body, path and keys."""
        layout, settings = self.layout, context.scene.vp3d_retarget
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(heading="Path")
        for name in ("scale_path", "on_floor", "in_place", "at_target"):
            column.prop(settings, name)
        layout.prop(settings, "root_motion")
        layout.row(heading="Source").prop(settings, "use_rest_frame")
        if settings.use_rest_frame:
            layout.prop(settings, "rest_frame")
        column = layout.column(heading="Body")
        for name in ("reach_feet", "reach_hands", "use_inverse"):
            column.prop(settings, name)
        layout.prop(settings, "clavicle", slider=True)
        layout.prop(settings, "twist", slider=True)
        layout.separator()
        layout.prop(settings, "into")
        draw_frame_range(layout, settings)
        layout.prop(settings, "step")
        layout.column(heading="Keys for").prop(settings, "parts")


class VP3D_PT_retarget_mapping(_Sidebar, bpy.types.Panel):
    """What the bones of source and rig are."""

    bl_label = "Mapping"
    bl_parent_id = "VP3D_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a pair."""
        return context.scene.vp3d_retarget.pair is not None

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the list and what can be done with it."""
        layout, settings = self.layout, context.scene.vp3d_retarget
        layout.row().prop(settings, "side", expand=True)
        mapping = settings.mapping
        row = layout.row()
        row.template_list("VP3D_UL_mapping", "", mapping, "rows", mapping, "active", rows=6)
        buttons = row.column(align=True)
        buttons.operator("vp3d.mapping_row", text="", icon="ADD").action = "ADD"
        buttons.operator("vp3d.mapping_row", text="", icon="REMOVE").action = "REMOVE"
        if 0 <= mapping.active < len(mapping.rows):
            active = mapping.rows[mapping.active]
            layout.prop(active, "bone")
            if settings.side == "target":
                layout.row().prop(active, "offset")
        layout.operator("vp3d.recognise_rig", icon="VIEWZOOM")
        row = layout.row(align=True)
        row.operator("vp3d.load_mapping", text="Load…", icon="FILE_FOLDER")
        row.operator("vp3d.save_mapping", text="Save…", icon="FILE_TICK")


classes = (
    VP3D_UL_retarget_pairs,
    VP3D_UL_mapping,
    VP3D_PT_retarget,
    VP3D_PT_retarget_options,
    VP3D_PT_retarget_mapping,
)
register, unregister = bpy.utils.register_classes_factory(classes)
