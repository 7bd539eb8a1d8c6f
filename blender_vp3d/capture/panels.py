"""The sidebar tab VP3D."""

from pathlib import Path

import bpy

from ..backend.environment import Remedy
from ..backend.job import Job, JobState
from ..camera import plate
from ..frame_range import draw_frame_range
from ..texts import paragraph
from . import running
from .summary import headline, pace

_LENS = {
    "mm": ("focal_mm", "sensor_mm"),
    "fov": ("fov",),
    "px": ("focal_px",),
    "file": ("calibration", "calibration_camera"),
}
"""What each way to tell the lens asks for."""
_REMEDIES = {Remedy.REPAIR: "vp3d.repair", Remedy.UPDATE: "vp3d.install"}


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"


class VP3D_PT_capture(_Sidebar, bpy.types.Panel):
    """Video, settings, and the running capture."""

    bl_label = "Capture"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """Draw settings, the button or the progress, and how the last capture ended."""
        layout, settings, job = self.layout, context.scene.vp3d, running.session.job
        layout.use_property_split = True
        layout.use_property_decorate = False
        busy = running.session.busy

        column = layout.column()
        column.enabled = not busy
        _draw_settings(column, settings)

        if busy:
            _draw_progress(layout, job)
            return
        row = layout.row()
        row.scale_y = 1.5
        row.operator("vp3d.capture", icon="ARMATURE_DATA")
        if job and job.state is JobState.FAILED:
            _draw_failure(layout, context, job)
        elif job and job.state is JobState.CANCELLED:
            paragraph(layout, context, headline(job), "CANCEL")


class _Part(_Sidebar):
    bl_parent_id = "VP3D_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}


class VP3D_PT_people(_Part, bpy.types.Panel):
    """Whose motion to capture, and how tall they are."""

    bl_label = "People"
    bl_options = set()

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the choice of people."""
        layout, settings = _waiting(self.layout), context.scene.vp3d
        layout.row().prop(settings, "people", expand=True)
        if settings.people == "numbers":
            layout.prop(settings, "numbers")
        row = layout.row(heading="Height")
        row.prop(settings, "use_height", text="")
        part = row.row()
        part.enabled = settings.use_height
        part.prop(settings, "height", text="")


class VP3D_UL_views(bpy.types.UIList):
    """Other videos of the same moment, with their offsets."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flag=0) -> None:
        """Draw one view."""
        row = layout.row(align=True)
        row.label(text=item.file.name or "…", icon="VIEW_CAMERA")
        right = row.row()
        right.alignment = "RIGHT"
        right.active = item.use_offset
        offset = item.offset if item.use_offset else context.window_manager.vp3d.offset_of(item.file)
        right.label(text="" if offset is None else f"{offset:+.3f} s")


class VP3D_PT_views(_Part, bpy.types.Panel):
    """Other videos of the same moment."""

    bl_label = "Views"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the list, the highlighted view, and where the cameras come from."""
        layout, settings = _waiting(self.layout), context.scene.vp3d
        row = layout.row()
        row.template_list("VP3D_UL_views", "", settings, "views", settings, "active_view", rows=2, maxrows=6)
        buttons = row.column(align=True)
        buttons.operator("vp3d.add_views", text="", icon="ADD")
        buttons.operator("vp3d.remove_view", text="", icon="REMOVE")
        if view := settings.view:
            layout.prop(view, "path")
            row = layout.row(heading="Offset (s)")
            row.prop(view, "use_offset", text="")
            if view.use_offset:
                row.prop(view, "offset", text="")
            else:
                offset = context.window_manager.vp3d.offset_of(view.file)
                row.label(text="From the motion" if offset is None else f"{offset:+.3f} s in the take")
        if settings.views:
            layout.prop(settings, "joints_by")
            if settings.joints_by == "network":
                layout.prop(settings, "stereo")
        if not settings.views:
            paragraph(layout, context, "Add videos of the same moment from other places.", "INFO")
        elif settings.gives_camera:
            sentence = "Several views need cameras that are solved: choose Automatic under Lens & Camera."
            paragraph(layout, context, sentence, "ERROR")
        elif settings.lens_is("file"):
            name = Path(bpy.path.abspath(settings.calibration)).name or "the calibration file"
            sentence = f"Cameras are placed by {name}, if it has poses; name each clip like its camera there."
            paragraph(layout, context, sentence, "CAMERA_DATA")
        else:
            sentence = "Cameras are placed by the people they see, or by a Calibration File under Lens & Camera."
            paragraph(layout, context, sentence, "COMMUNITY")
        paragraph(layout, context, "All cameras must stand still.")


class VP3D_PT_lens(_Part, bpy.types.Panel):
    """What is known of the camera that filmed the video."""

    bl_label = "Lens & Camera"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw where the camera comes from, and the lens where it does not come along."""
        layout, settings = _waiting(self.layout), context.scene.vp3d
        layout.prop(settings, "camera")
        column = layout.column(align=True)
        if not settings.gives_camera:
            column.prop(settings, "lens")
            for name in _LENS.get(settings.lens, ()):
                column.prop(settings, name)
        elif settings.camera == "clip":
            column.prop(settings, "metres")


class VP3D_PT_advanced(_Part, bpy.types.Panel):
    """Settings that are seldom needed."""

    bl_label = "Advanced"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw detector, step, feet and adaptation."""
        layout, settings = _waiting(self.layout), context.scene.vp3d
        layout.prop(settings, "detector")
        layout.prop(settings, "every")
        layout.prop(settings, "foot_lock")
        layout.prop(settings, "adapt")


class VP3D_UL_people(bpy.types.UIList):
    """People of a take, with a check box each."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flag=0) -> None:
        """Draw one person."""
        row = layout.row(align=True)
        row.prop(item, "use", text="")
        row.label(text=f"Person {item.number}")
        right = row.row()
        right.alignment = "RIGHT"
        right.label(text=f"{item.frames} frames  ·  {item.confidence:.0%} sure")


class VP3D_PT_take(_Sidebar, bpy.types.Panel):
    """What was found."""

    bl_label = "Take"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the people, what is worth knowing, and what can be done with the take."""
        layout, result = self.layout, context.window_manager.vp3d
        if result.take:
            layout.label(text=Path(result.take).stem, icon="ACTION")
            layout.template_list("VP3D_UL_people", "", result, "people", result, "active", rows=2, maxrows=8)
            row = layout.row()
            row.scale_y = 1.5
            row.operator("vp3d.apply_take", icon="IMPORT")
        row = layout.row(align=True)
        row.operator("vp3d.import_take", text="Import…", icon="FILE_FOLDER")
        row.operator("vp3d.save_take", text="Save…", icon="FILE_TICK")


class VP3D_PT_notes(_Sidebar, bpy.types.Panel):
    """What is worth knowing of a take."""

    bl_label = "Notes"
    bl_parent_id = "VP3D_PT_take"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a take."""
        return bool(context.window_manager.vp3d.take)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw warnings, camera, lens and detector."""
        result = context.window_manager.vp3d
        warnings = [(warning, "ERROR") for warning in result.warnings.splitlines() if warning != result.lens]
        about = ((result.motion, "CON_CAMERASOLVER"), (result.lens, "CAMERA_DATA"), (result.detector, "VIEWZOOM"))
        for text, icon in (*warnings, *about):
            if text:
                paragraph(self.layout, context, text, icon)


def _waiting(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A layout of settings, which wait while a capture runs."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    layout.enabled = not running.session.busy
    return layout


def _draw_settings(column: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    row = column.row(align=True)
    row.use_property_split = False
    row.prop(settings, "video", text="", placeholder="Choose a video", icon="FILE_MOVIE")
    row.operator("vp3d.choose_video", text="", icon="FILE_FOLDER")
    draw_frame_range(column, settings)
    if plate.is_sequence(Path(bpy.path.abspath(settings.video))):
        column.prop(settings, "fps")
    column.row().prop(settings, "detail", expand=True)


def _draw_progress(layout: bpy.types.UILayout, job: Job) -> None:
    column = layout.column(align=True)
    row = column.row(align=True)
    row.progress(text=headline(job), factor=job.fraction, type="BAR")
    row.operator("vp3d.cancel", text="", icon="CANCEL")
    column.label(text=pace(job))


def _draw_failure(layout: bpy.types.UILayout, context: bpy.types.Context, job: Job) -> None:
    box = layout.box()
    sentence = box.column()
    sentence.alert = True
    paragraph(sentence, context, job.message, "ERROR")
    if job.hint:
        paragraph(box, context, job.hint)
    if job.remedy:
        box.operator(_REMEDIES[job.remedy], text=f"{job.remedy.name.capitalize()} Pose Server", icon="IMPORT")
    if job.lost:
        box.operator("vp3d.try_again", icon="FILE_REFRESH")
    row = box.row(align=True)
    row.operator("vp3d.copy_report", icon="COPYDOWN")
    row.operator("vp3d.open_log", icon="TEXT")


classes = (
    VP3D_PT_capture,
    VP3D_PT_people,
    VP3D_UL_views,
    VP3D_PT_views,
    VP3D_PT_lens,
    VP3D_PT_advanced,
    VP3D_UL_people,
    VP3D_PT_take,
    VP3D_PT_notes,
)
register, unregister = bpy.utils.register_classes_factory(classes)
