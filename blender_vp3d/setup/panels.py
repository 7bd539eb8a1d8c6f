"""The panel that tells whether the server is there."""

import bpy

from .. import data_home
from ..backend.environment import SENTENCES, State
from ..texts import paragraph
from . import operators

_ICONS = {State.READY: "CHECKMARK", State.NOT_INSTALLED: "INFO", State.INCOMPLETE: "ERROR", State.BROKEN: "ERROR"}


class VP3D_PT_setup(bpy.types.Panel):
    """State and installation of the server; gone once it is installed, as the preferences have the rest."""

    bl_label = "Setup"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"
    bl_order = 0

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while there is something to install or to tell of an installation."""
        run = operators.installation
        return data_home.server_environment().state is not State.READY or bool(run and (run.running or run.message))

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the way to a working server, and where it goes."""
        draw_server(self.layout, context)
        if not bpy.ops.vp3d.cancel_install.poll():
            self.layout.label(text=str(data_home.folder()), icon="FILE_FOLDER")


def draw_server(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw whether the server is installed and the button for it, or how far its installation is."""
    state, run = data_home.server_environment().state, operators.installation
    if run and run.running:
        row = layout.row(align=True)
        row.progress(text=run.stage, factor=run.fraction, type="BAR")
        row.operator("vp3d.cancel_install", text="", icon="CANCEL")
        for line in run.said:
            paragraph(layout, context, line, "NONE")
        return
    paragraph(layout, context, SENTENCES[state], _ICONS[state])
    if not bpy.app.online_access:
        paragraph(layout, context, "To install it, let Blender go online.", "INTERNET_OFFLINE")
        if not bpy.app.online_access_override:  # by the command line
            layout.prop(context.preferences.system, "use_online_access")
    row = layout.row()
    row.scale_y = 1.0 if state is State.READY else 1.5
    repair = state in (State.READY, State.BROKEN)
    row.operator("vp3d.install", text="Repair Pose Server" if repair else "Install Pose Server", icon="IMPORT")
    if run and run.message:
        box = layout.box()
        box.alert = True
        paragraph(box, context, f"{run.message} {run.hint}", "ERROR")
        layout.operator("vp3d.open_log", icon="TEXT")


classes = (VP3D_PT_setup,)
register, unregister = bpy.utils.register_classes_factory(classes)
