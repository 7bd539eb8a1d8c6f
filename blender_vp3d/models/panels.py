"""The list of weights."""

import bpy

from .. import data_home
from ..backend.environment import State
from ..texts import paragraph
from . import operators

_ICONS = {"here": "CHECKMARK", "absent": "BLANK1", "damaged": "ERROR"}
_PLACES = {
    "named": "In a folder that VP3D_MODELS_DIR names",
    "own": "In your models folder",
    "bundled": "Came with the add-on",
    "package": "Came with the pose server",
}


class VP3D_PT_models(bpy.types.Panel):
    """Weights: what they are for, what their licences allow, and whether they are here."""

    bl_label = "Models"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VP3D"
    bl_parent_id = "VP3D_PT_setup"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the list, or why there is none."""
        layout, task = self.layout, operators.task
        if data_home.server_environment().state is not State.READY:
            paragraph(layout, context, "The list of models comes with the pose server: install it first.", "INFO")
            return
        operators.look()
        if task and task.running:
            line = layout.row(align=True)
            line.progress(text=_told(task), factor=task.fraction, type="BAR")
            line.operator("vp3d.models_cancel", text="", icon="CANCEL")
        elif task and task.message:
            box = layout.box()
            box.alert = True
            paragraph(box, context, f"{task.message} {task.hint}", "ERROR")
            if not operators.rows:  # the list itself failed, which is not asked for again by itself
                layout.operator("vp3d.models_verify", text="Try Again", icon="FILE_REFRESH")
        if not operators.rows:
            return
        for row in operators.rows:
            _draw_model(layout, context, row)
        if not bpy.app.online_access:
            paragraph(
                layout, context, "To download, let Blender go online; importing works offline.", "INTERNET_OFFLINE"
            )
        line = layout.row(align=True)
        line.operator("vp3d.model_import", text="Import Folder...", icon="FILE_FOLDER")
        line.operator("vp3d.models_verify", text="Verify All", icon="FILE_REFRESH")


def _told(task: operators.ModelsTask) -> str:
    if task.stage == "download":
        return f"{task.done / 1e6:.1f} of {task.total / 1e6:.1f} MB"
    return f"Verifying, {task.done} of {task.total}" if task.stage == "verify" else task.stage


def _draw_model(layout: bpy.types.UILayout, context: bpy.types.Context, row: dict) -> None:
    header, body = layout.panel(f"VP3D_PT_model_{row['name']}", default_closed=True)
    header.label(text=row["title"], icon=_ICONS[row["state"]])
    size = f"{row['size'] / 1e6:.{1 if row['size'] < 1e8 else 0}f} MB" if row["size"] else ""
    if aside := "not commercial" if not row["commercial"] else size if row["state"] == "absent" else "":
        right = header.row()
        right.alignment = "RIGHT"
        right.label(text=aside)
    if body is None:
        return
    column = body.column(align=True)
    paragraph(column, context, f"{row['purpose']}.")
    paragraph(column, context, ", ".join(filter(None, (size, row["licence"]))))
    paragraph(column, context, f"Commercial work: {'yes' if row['commercial'] else 'no'}")
    paragraph(column, context, row["credit"])
    paragraph(column, context, _PLACES.get(row["origin"], "Not on this computer"))
    if row["note"]:
        paragraph(column, context, row["note"], "ERROR" if row["state"] == "damaged" else "INFO")
    line = body.row(align=True)
    if row["downloadable"] and row["state"] != "here":
        line.operator("vp3d.model_download", icon="IMPORT").name = row["name"]
    elif row["page"] and row["state"] == "absent":
        line.operator("wm.url_open", text="Get", icon="URL").url = row["page"]
    if row["origin"] != "package":
        line.operator("vp3d.model_import", text="Import...", icon="FILE_FOLDER").name = row["name"]
    if row["origin"] == "own":
        line.operator("vp3d.model_remove", text="", icon="TRASH").name = row["name"]


classes = (VP3D_PT_models,)
register, unregister = bpy.utils.register_classes_factory(classes)
