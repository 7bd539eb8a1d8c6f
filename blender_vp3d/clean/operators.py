"""What the buttons do."""

from collections.abc import Callable
from functools import partial

import bpy

from ..retarget.properties import bones_of
from ..retarget.read import RetargetError
from ..texts import offered
from . import steps, versions


def chosen(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected armatures that have an action, the active one first."""
    candidates = dict.fromkeys([context.object, *context.selected_objects])
    return [
        thing
        for thing in candidates
        if thing and thing.type == "ARMATURE" and thing.animation_data and thing.animation_data.action
    ]


class _OnArmatures:
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an armature that moves."""
        return offered(cls, chosen(context), "Select an armature with keyframes.")


class _Clean(_OnArmatures):
    step: str

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do the step on every selected armature."""
        return _on_each(self, context, partial(steps.clean, step=self.step))


class VP3D_OT_clean(_Clean, bpy.types.Operator):
    """Take pops and noise out of the selected armatures' motion, into an action beside the raw one"""

    bl_idname = "vp3d.clean"
    bl_label = "Smooth"
    step = steps.SMOOTH


class VP3D_OT_lock_feet(_Clean, bpy.types.Operator):
    """Hold the feet where they stand, as the contact keys say; again after these were moved"""

    bl_idname = "vp3d.lock_feet"
    bl_label = "Re-lock Feet"
    step = steps.FEET


class VP3D_OT_reduce_keys(_Clean, bpy.types.Operator):
    """Replace a key on every frame by few keys with handles, within the bounds"""

    bl_idname = "vp3d.reduce_keys"
    bl_label = "Reduce Keys"
    step = steps.KEYS


class VP3D_OT_find_contacts(_OnArmatures, bpy.types.Operator):
    """Key anew when the feet stand, told from how low and slow they are"""

    bl_idname = "vp3d.find_contacts"
    bl_label = "Find Contacts"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Find them for every selected armature."""
        return _on_each(self, context, steps.find_contacts)


class _OnCleaned(_OnArmatures):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an armature that was cleaned."""
        cleaned = [armature for armature in chosen(context) if versions.clean(armature)]
        return offered(cls, cleaned, "There is no cleaned motion yet.")


class VP3D_OT_toggle_raw(_OnCleaned, bpy.types.Operator):
    """Compare: show the raw motion, or the cleaned one again"""

    bl_idname = "vp3d.toggle_raw"
    bl_label = "Raw / Clean"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show what the first armature does not show now, on all."""
        armatures = [armature for armature in chosen(context) if versions.clean(armature)]
        raw = versions.shows_clean(armatures[0])
        for armature in armatures:
            versions.show(armature, versions.raw(armature) if raw else versions.clean(armature))
        return {"FINISHED"}


class VP3D_OT_discard_clean(_OnCleaned, bpy.types.Operator):
    """Go back to the raw motion and remove the cleaned one"""

    bl_idname = "vp3d.discard_clean"
    bl_label = "Discard"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget the cleaned action of every selected armature."""
        for armature in chosen(context):
            if versions.clean(armature):
                versions.forget(armature)
        return {"FINISHED"}


def _on_each(operator: bpy.types.Operator, context: bpy.types.Context, act: Callable[..., list[str]]) -> set[str]:
    """Act on every selected armature and report what it says; all are checked before the first is changed."""
    armatures, done = chosen(context), False
    if context.object and context.object.mode == "EDIT":
        bpy.ops.object.mode_set(mode="OBJECT")
    try:
        plan = context.scene.vp3d_clean.plan()
        for armature in armatures:
            steps.check(armature)
        for armature in armatures:
            for note in act(context, armature, bones_of(context.scene, armature), plan):
                operator.report({"INFO"}, note)
            done = True
    except (steps.CleanError, RetargetError, ValueError) as error:
        operator.report({"ERROR"}, str(error))
        # one that was changed already needs its undo step
        return {"FINISHED"} if done else {"CANCELLED"}
    return {"FINISHED"}


classes = (
    VP3D_OT_clean,
    VP3D_OT_lock_feet,
    VP3D_OT_reduce_keys,
    VP3D_OT_find_contacts,
    VP3D_OT_toggle_raw,
    VP3D_OT_discard_clean,
)
register, unregister = bpy.utils.register_classes_factory(classes)
