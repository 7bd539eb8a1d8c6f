"""Installing the server."""

import bpy

from .. import data_home, ticker
from ..backend.installation import Installation
from ..capture import running

installation: Installation | None = None
"""The latest run of the installer in this Blender."""


class VP3D_OT_install(bpy.types.Operator):
    """Install the pose server, or repair it. It gets a Python environment of its own; Blender's stays as it is"""

    bl_idname = "vp3d.install"
    bl_label = "Install Pose Server"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One installation at a time, and only where the user lets Blender go online."""
        if installation and installation.running:
            cls.poll_message_set("An installation is running.")
            return False
        if running.session.busy:
            cls.poll_message_set("A capture is running.")
            return False
        if not bpy.app.online_access:
            cls.poll_message_set("Blender may not go online: see Preferences, System, Network.")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the installer."""
        global installation
        running.session.close()  # Windows replaces no file that the idle server has open
        installation = Installation(data_home.folder())
        if installation.message:
            self.report({"ERROR"}, f"{installation.message} {installation.hint}")
            return {"CANCELLED"}
        ticker.watch(_tick)
        return {"FINISHED"}


class VP3D_OT_cancel_install(bpy.types.Operator):
    """Stop the installation; what it downloaded is kept"""

    bl_idname = "vp3d.cancel_install"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while an installation runs."""
        return installation is not None and installation.running

    def execute(self, context: bpy.types.Context) -> set[str]:
        """End the installer."""
        installation.stop()
        data_home.look_again()
        ticker.redraw()
        return {"FINISHED"}


def _tick() -> bool:
    shown = installation.stage, installation.done, installation.said
    goes_on = installation.poll()
    if not goes_on:
        data_home.look_again()
    if not goes_on or shown != (installation.stage, installation.done, installation.said):
        ticker.redraw()
    return goes_on


classes = (VP3D_OT_install, VP3D_OT_cancel_install)
register, _unregister_classes = bpy.utils.register_classes_factory(classes)


def unregister() -> None:
    """Stop a running installation."""
    global installation
    if installation:
        installation.stop()
    installation = None
    _unregister_classes()
