"""The panel that tells whether the server is there."""

import bpy

from .. import preferences
from ..backend.environment import SENTENCES, State
from ..texts import paragraph
from . import operators

_ICONS = {State.READY: "CHECKMARK", State.NOT_INSTALLED: "INFO", State.INCOMPLETE: "ERROR", State.BROKEN: "ERROR"}


class VP3D_PT_setup(bpy.types.Panel):
    """State and installation of the server."""

    bl_label = "Setup"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"
    bl_order = 10
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the state, the place, and the way to a working server."""
        layout, environment, run = self.layout, preferences.server_environment(), operators.installation
        paragraph(layout, context, SENTENCES[environment.state], _ICONS[environment.state])
        layout.label(text=str(environment.home), icon="FILE_FOLDER")
        if run and run.running:
            row = layout.row(align=True)
            row.progress(text=run.stage, factor=run.fraction, type="BAR")
            row.operator("vp3d.cancel_install", text="", icon="CANCEL")
            for line in run.said[-3:]:
                paragraph(layout, context, line, "NONE")
            return
        if not bpy.app.online_access:
            paragraph(
                layout, context, "Installing needs online access: allow it in Preferences, System.", "INTERNET_OFFLINE"
            )
        ready = environment.state is State.READY
        layout.operator("vp3d.install", text="Repair" if ready else "Install Pose Server", icon="IMPORT")
        if run and run.message:
            box = layout.box()
            box.alert = True
            paragraph(box, context, f"{run.message} {run.hint}", "ERROR")
        layout.operator("vp3d.open_log", icon="TEXT")


classes = (VP3D_PT_setup,)
register, unregister = bpy.utils.register_classes_factory(classes)
