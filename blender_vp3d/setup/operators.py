"""Installing the server, looking after it, and taking it away."""

import bpy

from .. import data_home, ticker
from ..backend.environment import State
from ..backend.installation import Installation, Wishes
from ..capture import running
from .report import report

installation: Installation | None = None
"""The latest run of the installer in this Blender."""
plan: Installation | None = None
"""The latest question to the installer what it would do."""
_planned: object = None  # the home and the wishes that `plan` belongs to

_OFFLINE = "Blender may not go online: see Preferences, System, Network."


def look() -> None:
    """Have the installer asked what it would do, if it was not. For panels: nothing is started while they draw."""
    if _planned != (data_home.folder(), data_home.wishes()):
        ticker.watch(_ask)


def _ask() -> bool:
    global plan, _planned
    if _planned != (wanted := (data_home.folder(), data_home.wishes())):
        if plan:
            plan.stop()
        _planned = wanted
        plan = Installation(wanted[0], "plan", wanted[1])
    if plan.poll():
        return True
    ticker.redraw()
    return False


def _shown() -> tuple[object, ...]:
    return installation.stage, installation.done, installation.detail, installation.said


def _tick() -> bool:
    shown = _shown()
    goes_on = installation.poll()
    if not goes_on:
        data_home.look_again()
    if not goes_on or shown != _shown():
        ticker.redraw()
    return goes_on


class _Installer:
    """What runs the installer: one thing at a time, and not while the server works."""

    verb = ""
    online = False

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only where nothing stands in the way; its button says what does."""
        if installation and installation.running:
            cls.poll_message_set("Wait until the present task is done.")
        elif data_home.server_environment().state is State.INSTALLING:
            cls.poll_message_set("Another Blender or a terminal is installing it.")
        elif running.session.busy:
            cls.poll_message_set("A capture is running.")
        elif cls.online and not (bpy.app.online_access or data_home.wishes().wheels):
            cls.poll_message_set(_OFFLINE)
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the installer. With a window this returns at once; in background mode when it has ended."""
        return self.start(data_home.wishes())

    def start(self, wishes: Wishes, *words: str) -> set[str]:
        """Start it with options of the user's."""
        global installation, _planned
        running.session.close()  # Windows replaces no file that the idle server has open
        installation = Installation(data_home.folder(), self.verb, wishes, words)
        _planned = None
        ticker.follow(_tick)
        if installation.message:
            self.report({"ERROR"}, f"{installation.message} {installation.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


class VP3D_OT_install(_Installer, bpy.types.Operator):
    """Install the pose server, or update it. It gets a Python environment of its own; Blender's stays as it is"""

    bl_idname = "vp3d.install"
    bl_label = "Install Pose Server"
    verb = "setup"
    online = True


class VP3D_OT_repair(_Installer, bpy.types.Operator):
    """Verify the pose server, and install again what is damaged; everything where that does not help"""

    bl_idname = "vp3d.repair"
    bl_label = "Repair"
    verb = "repair"
    online = True


class VP3D_OT_verify(_Installer, bpy.types.Operator):
    """Compare every file of the pose server with what was installed, and have it test itself. Changes nothing"""

    bl_idname = "vp3d.verify"
    bl_label = "Verify"
    verb = "verify"


class VP3D_OT_remove(_Installer, bpy.types.Operator):
    """Remove the pose server. Models, takes, logs and settings stay"""

    bl_idname = "vp3d.remove"
    bl_label = "Remove"
    verb = "remove"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first."""
        return context.window_manager.invoke_confirm(
            self,
            event,
            title="Remove the pose server?",
            message=f"Its environments in {data_home.folder()} go. Models and takes stay.",
            confirm_text="Remove",
            icon="WARNING",
        )


class VP3D_OT_install_detectron2(_Installer, bpy.types.Operator):
    """Build detectron2 from its source into the pose server. Takes a C++ compiler and about ten minutes"""

    bl_idname = "vp3d.install_detectron2"
    bl_label = "Build detectron2"
    verb = "detectron2"
    online = True

    source: bpy.props.StringProperty(
        name="Source",
        description="Folder or archive with detectron2's source. Empty: its public repository",
        subtype="FILE_PATH",
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the source, and say what it takes."""
        return context.window_manager.invoke_props_dialog(self, width=420, confirm_text="Build")

    def draw(self, context: bpy.types.Context) -> None:
        """Draw what is asked."""
        for line in (
            "detectron2 has no packages: it is built here, from its source.",
            "That needs a C++ compiler and works on Linux and macOS.",
            "If it fails, the pose server stays as it is.",
        ):
            self.layout.label(text=line)
        self.layout.prop(self, "source")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the build."""
        return self.start(data_home.wishes(), *(["--source", bpy.path.abspath(self.source)] if self.source else []))


class VP3D_OT_cancel_install(bpy.types.Operator):
    """Stop; what was downloaded is kept, and what was there before comes back"""

    bl_idname = "vp3d.cancel_install"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while the installer runs."""
        return installation is not None and installation.running

    def execute(self, context: bpy.types.Context) -> set[str]:
        """End the installer."""
        installation.stop()
        data_home.look_again()
        ticker.redraw()
        return {"FINISHED"}


class VP3D_OT_copy_setup_report(bpy.types.Operator):
    """Copy the logs of the installer with all versions, to send them to somebody who can help"""

    bl_idname = "vp3d.copy_setup_report"
    bl_label = "Copy Report"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put the report on the clipboard."""
        blender = f"Blender {bpy.app.version_string}, {bpy.app.build_platform.decode(errors='replace')}"
        failure = f"{installation.message} {installation.hint}".strip() if installation else ""
        text = report(data_home.server_environment(), blender, failure or "Nothing has failed.")
        context.window_manager.clipboard = text
        self.report({"INFO"}, f"The report is on the clipboard, {len(text.splitlines())} lines.")
        return {"FINISHED"}


classes = (
    VP3D_OT_install,
    VP3D_OT_repair,
    VP3D_OT_verify,
    VP3D_OT_remove,
    VP3D_OT_install_detectron2,
    VP3D_OT_cancel_install,
    VP3D_OT_copy_setup_report,
)
register, _unregister_classes = bpy.utils.register_classes_factory(classes)


def unregister() -> None:
    """Stop a running installer."""
    global installation, plan, _planned
    for run in (installation, plan):
        if run:
            run.stop()
    installation = plan = _planned = None
    _unregister_classes()
