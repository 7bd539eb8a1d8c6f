"""Downloading, importing, verifying and removing weights, one at a time, by a child process."""

from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from .. import data_home, ticker
from ..backend.environment import State
from ..backend.models import ModelsTask
from ..capture import running

task: ModelsTask | None = None
"""The latest thing done with weights in this Blender."""
rows: list[dict] = []
"""The weights as `vp3d models list` tells of them; empty before it has."""
_listed: object = None  # the environment that `rows` belong to, or that they were asked of


def look() -> None:
    """Have the list filled, if it is not. For panels: nothing is started while they draw."""
    if _listed != data_home.server_environment() and not _busy():
        ticker.watch(_list)


def _list() -> bool:
    if _listed != data_home.server_environment() and not _busy():
        _start("list")
    return False


def _busy() -> bool:
    return task is not None and task.running


def _start(*words: str) -> None:
    """Start a task. With a window this returns at once; in background mode when it has ended."""
    global task, _listed
    _listed = data_home.server_environment()
    task = ModelsTask(_listed, *words, mirror=data_home.mirror())
    ticker.follow(_tick)


def _tick() -> bool:
    global rows
    shown = task.stage, task.done
    goes_on = task.poll()
    if not goes_on:
        rows = task.result.get("models", rows)
    if not goes_on or shown != (task.stage, task.done):
        ticker.redraw()
    return goes_on


class _OnModels:
    """What has weights and a free hand."""

    changes = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One thing at a time, and only where the server is installed."""
        if data_home.server_environment().state is not State.READY:
            cls.poll_message_set("The pose server is not installed.")
            return False
        if _busy():
            cls.poll_message_set("Wait until the present task is done.")
            return False
        if cls.changes and running.session.busy:
            cls.poll_message_set("A capture is running.")
            return False
        return True

    def begin(self, *words: str) -> set[str]:
        """Start the task; report what keeps it from starting or, in background mode, how it failed."""
        if self.changes:
            running.session.close()  # Windows replaces no file that the idle server has open
        _start(*words)
        if task.message:
            self.report({"ERROR"}, f"{task.message} {task.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


class VP3D_OT_model_download(_OnModels, bpy.types.Operator):
    """Download these weights from their official address or the mirror, and check them; goes on where it stopped"""

    bl_idname = "vp3d.model_download"
    bl_label = "Download"

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only where the user lets Blender go online."""
        if not bpy.app.online_access:
            cls.poll_message_set("Blender may not go online: see Preferences, System, Network.")
            return False
        return super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the download."""
        return self.begin("download", self.name)


class VP3D_OT_model_import(_OnModels, bpy.types.Operator, ImportHelper):
    """Copy weights from a file, or from a folder of files, into the models folder, once they are proven to be right"""

    bl_idname = "vp3d.model_import"
    bl_label = "Import Weights"

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the import of the chosen file or, where none is chosen, folder."""
        wanted = ["--name", self.name] if self.name else []
        return self.begin("import", *wanted, str(Path(bpy.path.abspath(self.filepath))))


class VP3D_OT_models_verify(_OnModels, bpy.types.Operator):
    """Read all weights that are here and compare them with the official ones"""

    bl_idname = "vp3d.models_verify"
    bl_label = "Verify"
    changes = False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the verification."""
        return self.begin("verify")


class VP3D_OT_model_remove(_OnModels, bpy.types.Operator):
    """Delete these weights from your models folder; what came with the add-on stays"""

    bl_idname = "vp3d.model_remove"
    bl_label = "Remove"

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove them."""
        return self.begin("remove", self.name)


class VP3D_OT_models_cancel(bpy.types.Operator):
    """Stop what is being done with weights; a download goes on from there next time"""

    bl_idname = "vp3d.models_cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while there is something to stop."""
        return _busy()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """End the child."""
        task.stop()
        ticker.redraw()
        return {"FINISHED"}


classes = (
    VP3D_OT_model_download,
    VP3D_OT_model_import,
    VP3D_OT_models_verify,
    VP3D_OT_model_remove,
    VP3D_OT_models_cancel,
)
register, _unregister_classes = bpy.utils.register_classes_factory(classes)


def unregister() -> None:
    """Stop a running task and forget the list."""
    global task, rows, _listed
    if task:
        task.stop()
    task, rows, _listed = None, [], None
    _unregister_classes()
