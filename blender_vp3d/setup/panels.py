"""The panels that tell whether the server is there, and look after it."""

import bpy

from .. import data_home
from ..backend.environment import SENTENCES, Environment, State
from ..texts import paragraph
from . import operators

_ICONS = {
    State.NOT_INSTALLED: "INFO",
    State.INSTALLING: "TIME",
    State.READY: "CHECKMARK",
    State.BROKEN: "ERROR",
    State.UPDATE_NEEDED: "FILE_REFRESH",
}
_STEP = {State.NOT_INSTALLED: ("vp3d.install", "Install Pose Server"), State.BROKEN: ("vp3d.repair", "Repair")}
_STEP[State.UPDATE_NEEDED] = ("vp3d.install", "Update Pose Server")
"""The one thing to do in a state."""
_PLACE = "Data Folder, package index and Python: in the add-on's preferences."


class _Sidebar:
    bl_label = "Setup"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"


class VP3D_PT_install(_Sidebar, bpy.types.Panel):
    """The way to a working server, above everything else; gone once it works."""

    bl_order = 0

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while the server cannot be used."""
        return data_home.server_environment().state is not State.READY

    def draw(self, context: bpy.types.Context) -> None:
        """Draw what there is to do."""
        draw_server(self.layout, context)


class VP3D_PT_setup(_Sidebar, bpy.types.Panel):
    """The server that is there: verify, repair and remove it; models and extras."""

    bl_order = 90
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only where the server can be used."""
        return data_home.server_environment().state is State.READY

    def draw(self, context: bpy.types.Context) -> None:
        """Draw its state and what can be done with it."""
        draw_server(self.layout, context)


class VP3D_PT_extras(_Sidebar, bpy.types.Panel):
    """What can be added to the server."""

    bl_label = "Extras"
    bl_parent_id = "VP3D_PT_setup"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """Draw detectron2's row."""
        row = self.layout.row()
        there = "detectron2" in data_home.server_environment().extras
        row.label(text="detectron2", icon="CHECKMARK" if there else "BLANK1")
        row.operator("vp3d.install_detectron2", text="Build Again..." if there else "Build...")
        paragraph(
            self.layout,
            context,
            "Keypoint R-CNN as the detector. Built from source: needs a C++ compiler, on Linux or macOS.",
        )


def draw_server(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the server's state with what can be done about it, or how far the installer is."""
    environment, run = data_home.server_environment(), operators.installation
    if run and run.running:
        row = layout.row(align=True)
        row.progress(text=run.stage, factor=run.fraction, type="BAR")
        row.operator("vp3d.cancel_install", text="", icon="CANCEL")
        layout.label(text=run.detail)  # also while there is none: what is below stays where it is
        for line in run.said:
            paragraph(layout, context, line, "NONE")
        return
    paragraph(layout, context, SENTENCES[environment.state], _ICONS[environment.state])
    if environment.state is not State.READY:
        _draw_plan(layout, context)
    elif environment.backend:
        layout.label(text=f"Torch: {environment.backend}, server {environment.version}", icon="BLANK1")
    _draw_buttons(layout, environment)
    if run and run.message:
        box = layout.box()
        box.alert = True
        paragraph(box, context, f"{run.message} {run.hint}", "ERROR")
        row = layout.row(align=True)
        row.operator("vp3d.copy_setup_report", icon="COPYDOWN")
        row.operator("vp3d.open_log", icon="TEXT")
    elif run and run.said:
        paragraph(layout, context, run.said[-1], "CHECKMARK")


def _draw_plan(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what the installer would do, and the choice that there is."""
    addon = context.preferences.addons.get(data_home.PACKAGE)
    if addon and not (context.area and context.area.type == "PREFERENCES"):  # which have it anyway
        layout.prop(addon.preferences, "backend")
    operators.look()
    plan = operators.plan
    if plan and plan.message:
        paragraph(layout, context, f"{plan.message} {plan.hint}", "ERROR")
    elif plan and plan.result:
        for line in plan.said:
            paragraph(layout, context, line, "NONE")
        short = plan.result["free_mb"] < plan.result["disk_mb"] + plan.result["download_mb"]
        if short:
            paragraph(layout, context, "That is more than the disk has left.", "ERROR")
    else:
        layout.label(text=f"To {data_home.folder()}", icon="FILE_FOLDER")
    paragraph(layout, context, _PLACE, "NONE")


def _draw_buttons(layout: bpy.types.UILayout, environment: Environment) -> None:
    state = environment.state
    if not (bpy.app.online_access or data_home.wishes().wheels) and state is not State.READY:
        layout.label(text="To install it, let Blender go online.", icon="INTERNET_OFFLINE")
        if not bpy.app.online_access_override:  # by the command line
            layout.prop(bpy.context.preferences.system, "use_online_access")
    if state in _STEP:
        operator, text = _STEP[state]
        row = layout.row()
        row.scale_y = 1.5
        row.operator(operator, text=text, icon="IMPORT")
    if state is State.READY:
        if environment.backend and data_home.wishes().backend not in ("auto", environment.backend):
            layout.operator("vp3d.install", text=f"Install Torch for {data_home.wishes().backend}", icon="IMPORT")
        row = layout.row(align=True)
        row.operator("vp3d.verify", icon="VIEWZOOM")
        row.operator("vp3d.repair", icon="TOOL_SETTINGS")
    if state not in (State.NOT_INSTALLED, State.INSTALLING):
        layout.operator("vp3d.remove", icon="TRASH")


classes = (VP3D_PT_install, VP3D_PT_setup, VP3D_PT_extras)
register, unregister = bpy.utils.register_classes_factory(classes)
