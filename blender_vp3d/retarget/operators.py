"""What the buttons do."""

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .. import belongings
from ..texts import offered
from . import apply, tables
from .read import RetargetError, frame_range

_SUFFIX = ".json"


class VP3D_OT_retarget(bpy.types.Operator):
    """Put the motion of every ticked source onto its rig, as keyframes"""

    bl_idname = "vp3d.retarget"
    bl_label = "Retarget"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a rig and a motion for it."""
        pairs = [pair for pair in context.scene.vp3d_retarget.pairs if pair.use]
        whole = [pair for pair in pairs if pair.source and pair.target]
        return offered(cls, pairs, "Add a rig first.") and offered(
            cls, whole, "Choose the armature with the motion, and the rig that gets it."
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Retarget pair after pair; all are checked before the first is changed."""
        settings = context.scene.vp3d_retarget
        if context.object and context.object.mode == "EDIT":
            bpy.ops.object.mode_set(mode="OBJECT")
        try:
            jobs = []
            for pair in (pair for pair in settings.pairs if pair.use):
                apply.check(pair.source, pair.target)
                jobs.append(settings.job(pair))
            if len({job.target for job in jobs}) < len(jobs):
                raise RetargetError("One rig is in the list twice: untick one of the two.")
            posed = [apply.pose_target(context, job) for job in jobs]
        except (RetargetError, ValueError) as error:
            return _refuse(self, str(error))
        for job, (pose, notes) in zip(jobs, posed, strict=True):
            for note in (*notes, *apply.bake_target(context, job, pose)):
                self.report({"WARNING"}, note)
            if (pair := _pair_of(settings, job.target)) and (table := pair.target_mapping.table) and table.note:
                self.report({"WARNING"}, f"{job.target.name}: {table.note}")
        names = ", ".join(job.target.name for job in jobs)
        self.report({"INFO"}, f"Retargeted {names}, {len(posed[0][0].frames)} keys a bone.")
        return {"FINISHED"}


def _pair_of(settings: bpy.types.PropertyGroup, target: bpy.types.Object) -> bpy.types.PropertyGroup | None:
    return next((pair for pair in settings.pairs if pair.use and pair.target == target), None)


class VP3D_OT_retarget_add(bpy.types.Operator):
    """Add a rig: the selected armature, and the motion of the next person who has no rig yet"""

    bl_idname = "vp3d.retarget_add"
    bl_label = "Add Rig"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add a pair with what is likely meant: the active rig, and a person or else another armature that moves."""
        settings = context.scene.vp3d_retarget
        people = belongings.people(context.scene)
        taken = {thing for pair in settings.pairs for thing in (pair.source, pair.target)}
        selected = sorted(context.selected_objects, key=lambda thing: thing != context.object)
        free = [thing for thing in selected if thing.type == "ARMATURE" and thing not in taken]
        target = next((thing for thing in free if thing not in people), None)
        others = dict.fromkeys([*free, *context.scene.objects])
        moving = people or [thing for thing in others if thing.type == "ARMATURE" and frame_range(thing)]
        source = next((thing for thing in moving if thing not in taken and thing != target), None)
        pair = settings.pairs.add()
        settings.active = len(settings.pairs) - 1
        if source or people:
            pair.source = source or people[-1]
        if target:
            pair.target = target
        return {"FINISHED"}


class VP3D_OT_retarget_remove(bpy.types.Operator):
    """Take the rig off the list; its keyframes stay"""

    bl_idname = "vp3d.retarget_remove"
    bl_label = "Remove Rig"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a rig in the list."""
        return context.scene.vp3d_retarget.pair is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the active pair."""
        settings = context.scene.vp3d_retarget
        settings.pairs.remove(settings.active)
        settings.active = max(0, settings.active - 1)
        return {"FINISHED"}


class _OnMapping:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an armature whose mapping is shown."""
        return offered(cls, context.scene.vp3d_retarget.mapped_armature, "Choose the armature first.")


class VP3D_OT_recognise_rig(_OnMapping, bpy.types.Operator):
    """Fill the list anew from the names of the bones, or from how they hang together"""

    bl_idname = "vp3d.recognise_rig"
    bl_label = "Recognise"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Recognise the armature that is shown."""
        settings = context.scene.vp3d_retarget
        settings.mapping.recognise(settings.mapped_armature)
        if lacking := apply.missing(settings.mapping.bones):
            self.report({"WARNING"}, f"No bone was found for {', '.join(lacking)}: fill these in.")
        return {"FINISHED"}


class VP3D_OT_mapping_row(_OnMapping, bpy.types.Operator):
    """Add a bone to the list, or take one off"""

    bl_idname = "vp3d.mapping_row"
    bl_label = "Change List"
    bl_options = {"REGISTER", "UNDO"}

    action: EnumProperty(items=(("ADD", "Add", ""), ("REMOVE", "Remove", "")))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add below the active row, as the next of its chain, or remove it."""
        mapping = context.scene.vp3d_retarget.mapping
        if self.action == "REMOVE":
            mapping.rows.remove(mapping.active)
            mapping.active = max(0, min(mapping.active, len(mapping.rows) - 1))
            return {"FINISHED"}
        row = mapping.rows.add()
        if len(mapping.rows) > 1:
            row.bone = mapping.rows[mapping.active].bone
            mapping.rows.move(len(mapping.rows) - 1, mapping.active + 1)
            mapping.active += 1
        return {"FINISHED"}


class VP3D_OT_save_mapping(_OnMapping, bpy.types.Operator, ExportHelper):
    """Save the list, to use it for other rigs of this kind"""

    bl_idname = "vp3d.save_mapping"
    bl_label = "Save Mapping"

    filename_ext = _SUFFIX
    filter_glob: StringProperty(default=f"*{_SUFFIX}", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        mapping = context.scene.vp3d_retarget.mapping
        path = Path(bpy.path.abspath(self.filepath))
        try:
            tables.write(path, path.stem, mapping.bones, mapping.offsets_deg)
        except tables.TableError as error:
            return _refuse(self, str(error))
        return {"FINISHED"}


class VP3D_OT_load_mapping(_OnMapping, bpy.types.Operator, ImportHelper):
    """Fill the list from a file that was saved here"""

    bl_idname = "vp3d.load_mapping"
    bl_label = "Load Mapping"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = _SUFFIX
    filter_glob: StringProperty(default=f"*{_SUFFIX}", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the file; bones that the armature lacks are left out."""
        settings = context.scene.vp3d_retarget
        try:
            table = tables.read(Path(bpy.path.abspath(self.filepath)))
        except tables.TableError as error:
            return _refuse(self, str(error))
        names = [bone.name for bone in settings.mapped_armature.data.bones]
        found = table.find(names)
        # what else is known of the rig comes from its table, which its names still tell
        known = tables.recognise(names)
        settings.mapping.fill(known[0] if known else "", table.name, found, table.offsets)
        if lacking := apply.missing(found):
            self.report({"WARNING"}, f"{table.name} has no bone of this rig for {', '.join(lacking)}.")
        return {"FINISHED"}


class VP3D_OT_import_bvh(bpy.types.Operator, ImportHelper):
    """Import a BVH file and take it as the source"""

    bl_idname = "vp3d.import_bvh"
    bl_label = "Import BVH"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".bvh"
    filter_glob: StringProperty(default="*.bvh", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with Blender's own importer."""
        there = hasattr(bpy.types, "IMPORT_ANIM_OT_bvh")
        return offered(cls, there, "Enable Blender's add-on BioVision Motion Capture (BVH) format first.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Have Blender import it."""
        path = bpy.path.abspath(self.filepath)
        known = set(bpy.data.objects)
        try:
            bpy.ops.import_anim.bvh(filepath=path, frame_start=context.scene.frame_start, use_fps_scale=True)
        except Exception as error:
            # the importer meets broken files with whatever exception its parser runs into
            return _refuse(self, f"{Path(path).name} cannot be read as BVH ({error}): choose another file.")
        made = [thing for thing in bpy.data.objects if thing not in known and thing.type == "ARMATURE"]
        if not made or not made[0].data.bones:
            for armature in {thing.data for thing in made}:
                bpy.data.armatures.remove(armature)
            return _refuse(self, f"{Path(path).name} has no skeleton: choose another file.")
        settings = context.scene.vp3d_retarget
        if settings.pair is None:
            settings.pairs.add()
            settings.active = len(settings.pairs) - 1
        settings.pair.source = made[0]
        return {"FINISHED"}


def _refuse(operator: bpy.types.Operator, sentence: str) -> set[str]:
    operator.report({"ERROR"}, sentence)
    return {"CANCELLED"}


classes = (
    VP3D_OT_retarget,
    VP3D_OT_retarget_add,
    VP3D_OT_retarget_remove,
    VP3D_OT_recognise_rig,
    VP3D_OT_mapping_row,
    VP3D_OT_save_mapping,
    VP3D_OT_load_mapping,
    VP3D_OT_import_bvh,
)
register, unregister = bpy.utils.register_classes_factory(classes)
