"""The panel 'Camera' in the sidebar tab VP3D."""

import bpy
import numpy as np

from .. import belongings
from ..common.skeletons import COCO_17
from ..skeleton import confidence
from ..texts import paragraph
from . import observed
from .compare import JOINTS
from .operators import camera_at_hand


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"


class _Part(_Sidebar):
    bl_parent_id = "VP3D_PT_camera"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a camera from a take."""
        return camera_at_hand(context) is not None


class VP3D_PT_camera(_Sidebar, bpy.types.Panel):
    """How well the solved camera and the armatures fit the plate."""

    bl_label = "Camera"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the camera, its residual at this frame, and the way to the worst frames."""
        layout, camera = self.layout, camera_at_hand(context)
        if camera is None:
            paragraph(layout, context, "Apply a take: its camera comes with it.", "INFO")
            return
        row = layout.row()
        row.label(text=camera.name, icon="CAMERA_DATA")
        if observed.RESIDUAL not in camera:  # of an older version of the add-on
            paragraph(layout, context, "Apply the take again to see how well it fits.", "INFO")
            return
        right = row.row()
        right.alignment = "RIGHT"
        right.label(text=_pixels(camera[observed.RESIDUAL]))
        row = layout.row(align=True)
        row.operator("vp3d.worst_frame", text="Worst Frame", icon="TRACKING").which = "worst"
        row.operator("vp3d.worst_frame", text="Next", icon="NEXT_KEYFRAME").which = "next"


class VP3D_PT_camera_overlay(_Part, bpy.types.Panel):
    """What is drawn over the plate."""

    bl_label = "Overlay"

    def draw_header(self, context: bpy.types.Context) -> None:
        """Draw the switch."""
        self.layout.prop(context.window_manager.vp3d_overlay, "show", text="")

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the looks."""
        layout, settings = self.layout, context.window_manager.vp3d_overlay
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.active = settings.show
        column.prop(settings, "opacity")
        column.prop(settings, "limit")
        split = layout.split(factor=0.4, align=True)
        label = split.row()
        label.alignment = "RIGHT"
        label.label(text="Bones")
        row = split.row(align=True)
        people = belongings.people_of(context.scene, camera_at_hand(context))
        shows = "confidence" if any(map(confidence.is_coloured, people)) else "side"
        for value, text in (("side", "Side"), ("confidence", "Confidence")):
            row.operator("vp3d.colour_bones", text=text, depress=shows == value).show = value


class VP3D_PT_camera_residual(_Part, bpy.types.Panel):
    """How far joints lie from the plate, person by person."""

    bl_label = "Residuals"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw a table: each person's residual, and the active person's, or the first's, joint by joint."""
        layout, camera = self.layout, camera_at_hand(context)
        people = [person for person in belongings.people_of(context.scene, camera) if observed.read(person)]
        if not people:
            layout.label(text="No person of this take is here.", icon="INFO")
            return
        chosen = context.object if context.object in people else people[0]
        table = layout.column(align=True)
        _row(table, "", "frame", "clip")
        for person in people:
            _row(table, person.name, _pixels(person[observed.RESIDUAL]), _pixels(_over_clip(person)))
        layout.label(text=f"Joints of {chosen.name}", icon="ARMATURE_DATA")
        seen = observed.read(chosen)
        row = seen.row(context.scene.frame_current)
        now = seen.residual[row] if row is not None else np.full(len(COCO_17), np.nan)
        table = layout.column(align=True)
        for joint, clip in zip(JOINTS, observed.residual_of_joints(chosen)[list(JOINTS)], strict=True):
            _row(table, COCO_17.joints[joint].replace("_", " ").capitalize(), _pixels(now[joint]), _pixels(clip))


class VP3D_PT_camera_hand_off(_Part, bpy.types.Panel):
    """The camera for others: cameras of the scene, other programs."""

    bl_label = "Hand Off"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw what can be done with the camera."""
        layout = self.layout
        layout.operator("vp3d.use_camera", icon="OUTLINER_OB_CAMERA")
        row = layout.row(align=True)
        row.prop(context.scene.vp3d_camera, "target", text="", icon="CAMERA_DATA")
        row.operator("vp3d.write_over_camera")
        layout.separator()
        column = layout.column(align=True)
        column.operator("vp3d.export_usd", text="USD…", icon="EXPORT")
        column.operator("vp3d.export_alembic", text="Alembic…", icon="EXPORT")
        column.operator("vp3d.export_nuke", text="Nuke…", icon="EXPORT")


def _over_clip(person: bpy.types.Object) -> float:
    _, values = observed.residual_keys(person)
    return float(np.median(values)) if len(values) else np.nan


def _row(table: bpy.types.UILayout, name: str, now: str, clip: str) -> None:
    split = table.split(factor=0.5)
    split.label(text=name)
    for text in (now, clip):
        cell = split.row()
        cell.alignment = "RIGHT"
        cell.label(text=text)


def _pixels(value: float) -> str:
    return f"{value:.1f} px" if np.isfinite(value) else "–"


classes = (VP3D_PT_camera, VP3D_PT_camera_overlay, VP3D_PT_camera_residual, VP3D_PT_camera_hand_off)
register, unregister = bpy.utils.register_classes_factory(classes)
