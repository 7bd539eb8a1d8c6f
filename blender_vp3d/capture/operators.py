"""What the buttons do."""

import shutil
import time
from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .. import data_home, ticker
from ..backend.environment import SENTENCES, State
from ..backend.job import Job, JobState
from ..camera import given, plate
from ..common import take as takes
from ..skeleton import apply_take
from ..texts import offered, video_title
from . import running
from .summary import summary_of

_SUFFIX = ".vp3d"


class VP3D_OT_choose_video(bpy.types.Operator):
    """Choose the video file to capture the motion from"""

    bl_idname = "vp3d.choose_video"
    bl_label = "Choose Video"
    bl_options = {"INTERNAL", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        self.filepath = bpy.path.abspath(context.scene.vp3d.video)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the chosen path."""
        context.scene.vp3d.video = self.filepath
        return {"FINISHED"}


class VP3D_OT_add_views(bpy.types.Operator):
    """Add other videos of the same moment, from cameras that stand still"""

    bl_idname = "vp3d.add_views"
    bl_label = "Add Views"
    bl_options = {"INTERNAL", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH")
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser where the main video is."""
        video = context.scene.vp3d.video
        if video:
            self.directory = str(Path(bpy.path.abspath(video)).parent)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the chosen files, each once."""
        settings, added = context.scene.vp3d, 0
        for name in (entry.name for entry in self.files if entry.name):
            path = Path(bpy.path.abspath(self.directory)) / name
            clips = [Path(bpy.path.abspath(settings.video)), *(view.file for view in settings.views)]
            if path.resolve() in (clip.resolve() for clip in clips):
                self.report({"WARNING"}, f"{name} is there already.")
                continue
            settings.views.add().path = str(path)
            settings.active_view = len(settings.views) - 1
            added += 1
        return {"FINISHED"} if added else {"CANCELLED"}


class VP3D_OT_remove_view(bpy.types.Operator):
    """Take the view off the list"""

    bl_idname = "vp3d.remove_view"
    bl_label = "Remove View"
    bl_options = {"INTERNAL", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a view in the list."""
        return offered(cls, context.scene.vp3d.view, "There is no view to take off the list.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the highlighted view."""
        settings = context.scene.vp3d
        settings.views.remove(settings.active_view)
        settings.active_view = max(0, settings.active_view - 1)
        return {"FINISHED"}


class VP3D_OT_capture(bpy.types.Operator):
    """Find the people in the video and solve their motion and the camera"""

    bl_idname = "vp3d.capture"
    bl_label = "Capture"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One capture at a time, and only with a server."""
        if running.session.busy:
            cls.poll_message_set("A capture is running.")
            return False
        state = data_home.server_environment().state
        if state is not State.READY:
            cls.poll_message_set(f"{SENTENCES[state]} See the Setup panel.")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the job; problems that are known already are reported at once."""
        settings = context.scene.vp3d
        if not settings.video:
            return _refuse(self, "Choose a video first.")
        video = Path(bpy.path.abspath(settings.video))
        if not video.exists() and not plate.is_sequence(video):
            return _refuse(self, f"There is no file {video.name}: choose the video again.")
        try:
            options = settings.options()
        except ValueError as error:
            return _refuse(self, str(error))
        name = video_title(video.name) or "take"
        take = data_home.server_environment().takes_folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}{_SUFFIX}"
        if settings.adapt:
            options["adapt"] = str(take.with_suffix(".lifter.safetensors"))
        if settings.gives_camera:
            options["camera_file"] = str(take.with_suffix(".camera.json"))
            try:
                given.for_video(context, video, settings).write(Path(options["camera_file"]))
            except given.GivenError as error:
                return _refuse(self, str(error))
        return _begin(self, Job(video=video, take=take, options=options))


class VP3D_OT_try_again(bpy.types.Operator):
    """Capture the same video with the same settings again; what was finished is kept, and it goes on from there"""

    bl_idname = "vp3d.try_again"
    bl_label = "Try Again"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only after a failure."""
        return VP3D_OT_copy_report.poll(context) and VP3D_OT_capture.poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the job anew."""
        return _begin(self, running.session.job.again())


class VP3D_OT_cancel(bpy.types.Operator):
    """Stop the capture; what is finished is kept, and the next capture goes on from there"""

    bl_idname = "vp3d.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while a capture runs."""
        return running.session.busy

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the server to stop."""
        running.session.cancel()
        ticker.redraw()
        return {"FINISHED"}


class VP3D_OT_apply_take(bpy.types.Operator):
    """Make keyframed armatures and the solved camera; the scene gets the video's frame rate, range and resolution"""

    bl_idname = "vp3d.apply_take"
    bl_label = "Apply"
    bl_options = {"REGISTER", "UNDO"}

    frame_start: IntProperty(
        name="Start Frame",
        description="Frame of the scene at which the video begins; where its clip is here already, it stays in place",
        default=1,
        options={"SKIP_SAVE"},
    )
    look_through: BoolProperty(
        name="Look Through Camera",
        description="Show the view of the solved camera, with the video behind",
        default=True,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a take."""
        if not context.window_manager.vp3d.take:
            cls.poll_message_set("Capture a video or import a take first.")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the take and build from it."""
        result = context.window_manager.vp3d
        people = [row.number for row in result.people if row.use]
        if not people:
            return _refuse(self, "Tick at least one person in the list.")
        path = Path(result.take)
        try:
            take = takes.load(path)
            if not self.properties.is_property_set("frame_start"):
                self.frame_start = plate.begins_at(take, path) or self.frame_start
            applied = apply_take(context, take, path, people, frame_start=self.frame_start)
        except takes.TakeError as error:
            return _refuse(self, str(error))
        for other in context.selected_objects:
            other.select_set(False)
        # those in a collection that the user excluded from the view layer cannot be selected
        within = [person for person in applied.people if person.name in context.view_layer.objects]
        for person in within:
            person.select_set(True)
        if within:
            context.view_layer.objects.active = within[0]
        if self.look_through and context.region_data:
            context.region_data.view_perspective = "CAMERA"
        for warning in applied.warnings:
            self.report({"WARNING"}, warning)
        count = len(applied.people)
        self.report({"INFO"}, f"Applied {count} armature{'s' * (count > 1)} and the camera from {path.name}.")
        return {"FINISHED"}


class VP3D_OT_import_take(bpy.types.Operator, ImportHelper):
    """Open a take that was saved before"""

    bl_idname = "vp3d.import_take"
    bl_label = "Import Take"

    filename_ext = _SUFFIX
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=f"*{_SUFFIX}", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, except for a file that was dropped."""
        return self.execute(context) if self.filepath else super().invoke(context, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the take and list its people."""
        path = Path(bpy.path.abspath(self.filepath))
        try:
            take = takes.load(path)
        except takes.TakeError as error:
            return _refuse(self, str(error))
        running.show(path, summary_of(take))
        ticker.redraw()
        return {"FINISHED"}


class VP3D_OT_save_take(bpy.types.Operator, ExportHelper):
    """Save a copy of the take, to keep it with the project or to give it away"""

    bl_idname = "vp3d.save_take"
    bl_label = "Save Take"

    filename_ext = _SUFFIX
    filter_glob: StringProperty(default=f"*{_SUFFIX}", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a take."""
        return VP3D_OT_apply_take.poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, with the take's name beside the scene's file."""
        folder = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
        self.filepath = str(folder / Path(context.window_manager.vp3d.take).name)
        return super().invoke(context, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Copy the file."""
        source, target = Path(context.window_manager.vp3d.take), Path(bpy.path.abspath(self.filepath))
        try:
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)
        except OSError as error:
            return _refuse(self, f"The take cannot be saved to {target.name}: {error.strerror or error}.")
        self.report({"INFO"}, f"Saved {target.name}.")
        return {"FINISHED"}


class VP3D_OT_copy_report(bpy.types.Operator):
    """Copy all that is known of the failure, to send it to somebody who can help"""

    bl_idname = "vp3d.copy_report"
    bl_label = "Copy Report"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only after a failure."""
        return running.session.job is not None and running.session.job.state is JobState.FAILED

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put the report on the clipboard."""
        about = f"Blender {bpy.app.version_string}, {bpy.app.build_platform.decode(errors='replace')}"
        context.window_manager.clipboard = f"{running.session.job.report()}\n{about}\n"
        self.report({"INFO"}, "The report is on the clipboard.")
        return {"FINISHED"}


class VP3D_OT_open_log(bpy.types.Operator):
    """Open the newest log of the pose server"""

    bl_idname = "vp3d.open_log"
    bl_label = "Open Log"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand the file to the system's text viewer."""
        logs = sorted(data_home.server_environment().log_folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
        if not logs:
            return _refuse(self, "There is no log yet.")
        bpy.ops.wm.path_open(filepath=str(logs[-1]))
        self.report({"INFO"}, f"The log is {logs[-1]}.")
        return {"FINISHED"}


class VP3D_FH_take(bpy.types.FileHandler):
    """Lets a take be dropped onto the viewport."""

    bl_idname = "VP3D_FH_take"
    bl_label = "VP3D take"
    bl_import_operator = "vp3d.import_take"
    bl_file_extensions = _SUFFIX

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Only in the 3D viewport."""
        return context.area is not None and context.area.type == "VIEW_3D"


def _begin(operator: bpy.types.Operator, job: Job) -> set[str]:
    running.start(job, data_home.server_environment())
    # only background mode comes here with the job ended
    if job.state is JobState.FAILED:
        return _refuse(operator, f"{job.message} {job.hint}".strip())
    return {"FINISHED"}


def _refuse(operator: bpy.types.Operator, sentence: str) -> set[str]:
    operator.report({"ERROR"}, sentence)
    return {"CANCELLED"}


classes = (
    VP3D_OT_choose_video,
    VP3D_OT_add_views,
    VP3D_OT_remove_view,
    VP3D_OT_capture,
    VP3D_OT_try_again,
    VP3D_OT_cancel,
    VP3D_OT_apply_take,
    VP3D_OT_import_take,
    VP3D_OT_save_take,
    VP3D_OT_copy_report,
    VP3D_OT_open_log,
    VP3D_FH_take,
)
register, unregister = bpy.utils.register_classes_factory(classes)
