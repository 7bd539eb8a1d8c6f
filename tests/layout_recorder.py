"""A layout that draws nothing, checks every call against what this Blender's layouts accept, and remembers the texts.

Background mode has no regions, so no panel can really be drawn there.
"""

import bpy


class Recorder:
    """Stands in for `bpy.types.UILayout`."""

    def __init__(self, drawn: list[str] | None = None, enabled: bool = True) -> None:
        object.__setattr__(self, "drawn", [] if drawn is None else drawn)
        object.__setattr__(self, "enabled", enabled)

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, f"layouts have no '{name}'"
        object.__setattr__(self, name, value)

    def __getattr__(self, function):
        parameters = bpy.types.UILayout.bl_rna.functions[function].parameters
        names = [parameter.identifier for parameter in parameters if not parameter.is_output]

        def call(*values, **keywords):
            given = dict(zip(names, values, strict=False)) | keywords
            unknown = given.keys() - set(names)
            assert not unknown, f"{function} has no {unknown}"
            icons = parameters["icon"].enum_items if "icon" in parameters else {}
            assert given.get("icon", "NONE") in icons or "icon" not in given, f"no icon {given['icon']}"
            return self._record(function, given)

        return call

    def _record(self, function, given):
        if function == "prop":
            custom = given["property"].startswith('["')
            (given["data"] if custom else given["data"].bl_rna.properties)[given["property"].strip('[]"')]
            self.drawn.append(given["property"])
        elif function == "operator":
            module, name = given["operator"].split(".")
            operator = getattr(getattr(bpy.ops, module), name)
            self.drawn.append(given["operator"] + ("" if operator.poll() else " (greyed out)"))
            return _Settings(operator.get_rna_type().properties)
        elif function == "template_list":
            assert hasattr(bpy.types, given["listtype_name"])
            for item in getattr(given["dataptr"], given["propname"]):
                draw_item = getattr(bpy.types, given["listtype_name"]).draw_item
                draw_item(None, bpy.context, self, given["dataptr"], item, 0, None, "", 0, 0)
        elif given.get("text"):
            self.drawn.append(given["text"])
        made = Recorder(self.drawn, self.enabled)
        return (made, made) if function == "panel" else made  # its header, and its body as if it were open


class _Settings:
    """Stands in for the properties of an operator that a button will call."""

    def __init__(self, properties) -> None:
        object.__setattr__(self, "properties", properties)

    def __setattr__(self, name, value):
        assert name in self.properties, f"the operator has no '{name}'"


def draw(panel: type) -> list[str]:
    """Draw a panel if its poll allows it; the texts, properties and operators that it shows."""
    poll = getattr(panel, "poll", None)
    if poll and not poll(bpy.context):
        return []
    stand_in = type(panel.__name__, (), {"layout": Recorder()})()
    panel.draw(stand_in, bpy.context)
    return stand_in.layout.drawn
