"""Renders people with exact labels: `python render.py JOB.json NUMBER`, in Blender's Python or by a Blender.

One of several such processes; NUMBER says which share of the instants is its own. An instant is one scene, seen by one
or more cameras. Its randomness comes from its number alone, so that it does not matter who renders it, or when. Its
pictures appear before its line in `records/NUMBER.jsonl`, and lines that are there are never rendered again.
"""

import contextlib
import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # Blender starts this file by its path

from vp3d.data.blender import clothes, figures, rocketbox, scenery
from vp3d.data.blender.figures import BONES, Figure, Pose
from vp3d.data.blender.makehuman import MakeHuman
from vp3d.data.blender.scenery import Room, Surface, View
from vp3d.data.records import JOINTS, done_instants, open_records, rle

_DEPTHS = [figures.beneath_skin(joint) for joint in JOINTS]
_HEADCOUNTS = {0: 0.08, 1: 0.45, 2: 0.22, 3: 0.12, 4: 0.07, 5: 0.03, 6: 0.03}
"""How often an instant has so many people, where only one camera looks."""
_CLOTHED_SHARE = 0.3  # of those who come in clothes: they are few, but better dressed
_PEOPLED = ("sunset",)  # of Blender's panoramas: nobody labelled who is in them
_ID_STEP = 32  # grey levels between people in the picture that tells them apart
_ROOM_INSTANTS = 6  # instants in a row that share a room


@dataclass(frozen=True)
class Person:
    """Somebody in a scene: the figure as dressed, its pose, its vertices (V, 3) and labels (23, 3) m in the world."""

    figure: Figure
    pose: Pose
    vertices: np.ndarray
    labels: np.ndarray
    colours: np.ndarray


class Studio:
    """Everything that stays from one instant to the next."""

    def __init__(self, job: dict) -> None:
        self.job = job
        with np.load(job["poses"]) as poses:
            self.recorded, self.made_up = poses["recorded"], poses["made_up"]
            self.kinds = [str(kind) for kind in poses["kinds"]]
        self.figures = [rocketbox.load(Path(path)) for path in job["rocketbox"]]
        self.makehuman = MakeHuman(Path(job["makehuman"])) if job["makehuman"] else None
        self.photographs = [Path(path) for path in job["backgrounds"]]
        lights = Path(bpy.utils.resource_path("LOCAL")) / "datafiles/studiolights/world"
        self.panoramas = [path for path in sorted(lights.glob("*.exr")) if path.stem not in _PEOPLED]
        self._pictures: dict[Path, np.ndarray] = {}
        self._room: tuple[int, Room] | None = None
        scene = bpy.context.scene
        scene.world = bpy.data.worlds.new("world")
        self.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        self.camera.rotation_mode = "QUATERNION"
        scene.collection.objects.link(self.camera)
        scene.camera = self.camera
        self.scratch = Path(job["folder"]) / "records"

    def subject(self, rng: np.random.Generator, chosen: list[int]) -> tuple[Figure, clothes.Outfit]:
        """Somebody in their clothes of the day, from the numbers of those allowed."""
        clothed = [number for number in chosen if number < len(self.figures)]
        bare = [number for number in chosen if number >= len(self.figures)]
        take_clothed = clothed and (not bare or rng.random() < _CLOTHED_SHARE)
        number = int(rng.choice(clothed if take_clothed else bare))
        if number < len(self.figures):
            figure = self.figures[number]
            outfit = clothes.choose_outfit(rng, figure.female)
            return (clothes.shorten(figure, outfit) if rng.random() < 0.4 else figure), outfit
        figure = self.makehuman.figure(number - len(self.figures))
        outfit = clothes.choose_outfit(rng, figure.female)
        return clothes.dress_body(figure, outfit, self.makehuman.helpers), outfit

    def room(self, instant: int) -> Room:
        """The room of an instant; some in a row share one."""
        number = instant // _ROOM_INSTANTS
        if self._room is None or self._room[0] != number:
            rng = np.random.default_rng([self.job["seed"], 1, number])
            chosen = rng.integers(len(self.photographs), size=3) if self.photographs else []
            self._room = number, Room.choose(rng, [self.picture(self.photographs[k]) for k in chosen])
        return self._room[1]

    def picture(self, path: Path) -> np.ndarray:
        """A picture file as (h, w, 3) 0..1, display colours, first row at the top; panoramas are exposed for it."""
        if path not in self._pictures:
            image = bpy.data.images.load(str(path))
            width, height = image.size
            pixels = np.empty(width * height * image.channels, np.float32)
            image.pixels.foreach_get(pixels)
            pixels = pixels.reshape(height, width, -1)[::-1, :, :3]
            if path.suffix == ".exr":
                pixels = np.clip(0.5 * pixels / np.median(pixels), 0, 1) ** (1 / 2.2)
            bpy.data.images.remove(image)
            if len(self._pictures) > 64:
                self._pictures.clear()
            self._pictures[path] = pixels
        return self._pictures[path]


def compose(studio: Studio, instant: int) -> dict:
    """Render one instant and write its pictures; returns its record."""
    job = studio.job
    rng = np.random.default_rng([job["seed"], 0, instant])
    stereo = job["views"] > 1
    split, subjects, rigs = _split(job, rng)
    count = 1 if stereo else int(rng.choice(list(_HEADCOUNTS), p=list(_HEADCOUNTS.values())))
    people, seats = _people(studio, rng, subjects, count, stereo)
    bodies = [person.vertices for person in people]
    if stereo:
        rig = int(rng.choice(rigs))
        views = scenery.choose_rig(np.random.default_rng([job["seed"], 2, rig]), job["views"], job["size"])
    else:
        rig = None
        views = [scenery.choose_view(rng, bodies, job["size"])]
    furniture = _furniture(rng, bodies, seats, views)
    kind = str(rng.choice(["room", "panorama", "photograph", "backdrop"], p=[0.6, 0.15, 0.2, 0.05]))
    if stereo and kind != "panorama":
        kind = "room"
    if (kind == "photograph" and not studio.photographs) or (kind == "panorama" and not studio.panoramas):
        kind = "room"
    _clear()
    for piece in furniture:
        _add(piece)
    if kind == "room" and job["engine"] == "cycles":
        _catch_shadows()
    standing = bodies + [piece.vertices for piece in furniture]
    for k, person in enumerate(people):
        surface = Surface("person", person.vertices, person.figure.triangles, person.colours, smooth=True)
        added = _add(surface)
        added["person"] = k
        added.color = ((k + 1) * _ID_STEP / 255, 0, 0, 1)
    _light(rng, job["engine"], views[0])
    turn, exposure = rng.uniform(0, 2 * np.pi), rng.uniform(0.28, 0.58, 2)
    record = {"instant": instant, "split": split, "rig": rig, "background": kind, "images": [], "annotations": []}
    for v, view in enumerate(views):
        _aim(studio.camera, view)
        pixels = _render(studio, int(rng.integers(2**31)))
        behind = _background(studio, rng, view, kind, instant, standing, turn)
        image = _expose(pixels, behind, exposure)
        mask = _masks(studio, view, len(people))
        name = f"{instant:06d}.jpg" if not stereo else f"{instant:06d}-{v}.jpg"
        _write_jpeg(image, Path(job["folder"]) / "images" / name, int(rng.integers(72, 96)))
        image_id = instant * job["views"] + v
        record["images"].append(
            {
                "id": image_id,
                "file_name": name,
                "width": view.size,
                "height": view.size,
                "instant": instant,
                "camera": v,
                "rig": rig,
                "split": split,
                "K": view.K.tolist(),
                "R": view.R.tolist(),
                "t": view.t.tolist(),
                "focal_mm": view.focal_mm,
            }
        )
        for k, person in enumerate(people):
            record["annotations"].append(_annotation(image_id, k, person, view, mask == k))
    return record


def _split(job: dict, rng: np.random.Generator) -> tuple[str, list[int], list[int]]:
    """Who may be in an instant and which rigs may see it."""
    train, test = job["subjects"]["train"], job["subjects"]["test"]
    rigs = job["rigs"]
    if not test or rng.random() > job["held_out"]:
        return "train", train, rigs.get("train", [])
    if rigs.get("test") and rng.random() < 0.5:
        return "test-cameras", test, rigs["test"]
    return "test", test, rigs.get("train", [])


def _people(
    studio: Studio, rng: np.random.Generator, subjects: list[int], count: int, stereo: bool
) -> tuple[list[Person], list[tuple[np.ndarray, float]]]:
    """People on their feet, seats or the floor, not inside each other, and the places (x, y, z) and turns of seats."""
    people: list[Person] = []
    seats = []
    spread = 0.25 if stereo else 0.35 + 0.42 * count
    for _ in range(count):
        figure, outfit = studio.subject(rng, subjects)
        kind, points = "", np.empty(0)
        if len(studio.recorded) and rng.random() < 0.6:
            points = studio.recorded[rng.integers(len(studio.recorded))]
        else:
            index = rng.integers(len(studio.made_up))
            kind, points = studio.kinds[index], studio.made_up[index]
        turn = rng.uniform(0, 2 * np.pi)
        ankles = tuple(np.radians(rng.uniform(-10, 40, 2)))
        pose = figures.pose_figure(figure, points.astype(float), turn, ankles)
        vertices = figures.skin(figure, pose)
        used = np.unique(figure.triangles)
        floor = vertices[used, 2].min()
        for _ in range(20):
            place = np.array([*rng.normal(0, spread, 2), -floor])
            if all(_apart(vertices[used][::30] + place, other.vertices[::30]) for other in people):
                break
        else:
            continue
        pose = pose.moved(place)
        vertices = vertices + place
        if kind == "sit":
            seat = vertices[used][figure.bones[used, 0] == BONES.index("pelvis")]
            seats.append((np.array([*pose.heads[0, :2], seat[:, 2].min()]), turn))
        labels = figures.place_labels(figure, pose, JOINTS)
        people.append(Person(figure, pose, vertices, labels, clothes.paint(figure, outfit, rng)))
    return people, seats


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a[:, None] - b[None], axis=-1).min() > 0.04)


def _furniture(
    rng: np.random.Generator, bodies: list[np.ndarray], seats: list[tuple[np.ndarray, float]], views: list[View]
) -> list[Surface]:
    """Seats, things about the place, and now and then one between a camera and the people."""
    pieces = []
    for place, turn in seats:
        wide, deep = rng.uniform(0.4, 0.7, 2)
        top = np.array([place[0], place[1], 0.0])
        back = figures.turned("z", turn) @ np.array([0, deep * 0.25, 0])
        pieces.append(scenery.box(rng, np.array([wide, deep, max(place[2], 0.05)]), top + back, turn))
        if rng.random() < 0.6:
            height = place[2] + rng.uniform(0.2, 0.6)
            rest = top + figures.turned("z", turn) @ np.array([0, deep * 0.75 + 0.12, 0])
            pieces.append(scenery.box(rng, np.array([wide, 0.05, height]), rest, turn))
    everyone = np.concatenate([body[::60] for body in bodies]) if bodies else np.zeros((1, 3))
    for _ in range(rng.integers(0, 7)):
        piece = _piece(rng, np.array([*rng.uniform(-4, 4, 2), 0.0]), rng.uniform(0.2, 1.9))
        if not _blocks(piece, everyone, views):
            pieces.append(piece)
    if bodies and rng.random() < 0.25:
        eye, subject = views[rng.integers(len(views))].eye, everyone.mean(0)
        place = (subject + rng.uniform(0.25, 0.5) * (eye - subject)) * (1, 1, 0)
        aside = np.cross([0, 0, 1.0], figures.unit((eye - subject) * (1, 1, 0))) * rng.normal(0, 0.4)
        piece = _piece(rng, place + aside, rng.uniform(0.3, 1.1))
        if np.linalg.norm(piece.vertices[:, None] - everyone[None], axis=-1).min() > 0.06:
            pieces.append(piece)
    return pieces


def _piece(rng: np.random.Generator, place: np.ndarray, height: float) -> Surface:
    if rng.random() < 0.3:
        return scenery.pillar(rng, rng.uniform(0.04, 0.25), height, place)
    return scenery.box(rng, np.array([*rng.uniform(0.25, 1.2, 2), height]), place, rng.uniform(0, np.pi))


def _blocks(piece: Surface, everyone: np.ndarray, views: list[View]) -> bool:
    """Whether a piece of furniture stands in somebody, in a camera or in its way."""
    low, high = piece.vertices.min(0) - 0.15, piece.vertices.max(0) + 0.15
    for view in views:
        for share in np.linspace(0, 1, 12)[:, None]:
            between = view.eye + share * (everyone - view.eye)
            if ((between > low) & (between < high)).all(1).any():
                return True
    return False


def _clear() -> None:
    for thing in list(bpy.data.objects):
        if thing.type in ("MESH", "LIGHT"):
            data = thing.data
            bpy.data.objects.remove(thing)
            (bpy.data.meshes if isinstance(data, bpy.types.Mesh) else bpy.data.lights).remove(data)


def _add(surface: Surface) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(surface.name)
    faces = np.ascontiguousarray(surface.faces, np.int32)
    mesh.vertices.add(len(surface.vertices))
    mesh.vertices.foreach_set("co", surface.vertices.astype(np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, faces.shape[1], dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.full(len(faces), surface.smooth))
    mesh.update(calc_edges=True)
    colours = surface.colours.reshape(-1, 3)
    domain = "POINT" if len(colours) == len(surface.vertices) else "CORNER"
    attribute = mesh.color_attributes.new("colour", "FLOAT_COLOR", domain)
    attribute.data.foreach_set("color", np.c_[colours, np.ones(len(colours))].astype(np.float32).ravel())
    mesh.color_attributes.active_color = attribute
    mesh.materials.append(_material())
    thing = bpy.data.objects.new(surface.name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _catch_shadows() -> None:
    """An unseen floor that takes the shadows of what stands on it."""
    reach = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 12.0
    floor = _add(Surface("floor", reach, np.array([[0, 1, 2, 3]]), np.full((4, 3), 0.5)))
    floor.is_shadow_catcher = True


def _material() -> bpy.types.Material:
    """The one material: the mesh's colours, a little uneven."""
    material = bpy.data.materials.get("painted")
    if material is None:
        material = bpy.data.materials.new("painted")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        shader = nodes["Principled BSDF"]
        shader.inputs["Roughness"].default_value = 0.65
        colour = nodes.new("ShaderNodeAttribute")
        colour.attribute_name = "colour"
        links.new(colour.outputs["Color"], shader.inputs["Base Color"])
        noise, bump = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeBump")
        noise.inputs["Scale"].default_value = 30
        bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = 0.2, 0.01
        links.new(noise.outputs[0], bump.inputs["Height"])
        links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return material


def _aim(camera: bpy.types.Object, view: View) -> None:
    data = camera.data
    data.sensor_fit, data.sensor_width, data.lens = "HORIZONTAL", scenery.SENSOR_MM, view.focal_mm
    data.clip_start, data.clip_end = 0.05, 100
    camera.location = view.eye
    axes = view.R.T @ np.diag([1.0, -1, -1])
    camera.rotation_quaternion = Matrix(axes.tolist()).to_quaternion()
    bpy.context.view_layer.update()


_STUDIO_LIGHTS = {
    "Default": 0.35,
    "studio.sl": 0.2,
    "basic.sl": 0.2,
    "outdoor.sl": 0.13,
    "rim.sl": 0.06,
    "paint.sl": 0.06,
}
"""Blender's own, and how often each is taken: the last two are coloured."""


def _light(rng: np.random.Generator, engine: str, view: View) -> None:
    scene = bpy.context.scene
    shading = scene.display.shading
    shading.light, shading.color_type = "STUDIO", "VERTEX"
    shading.studio_light = str(rng.choice(list(_STUDIO_LIGHTS), p=list(_STUDIO_LIGHTS.values())))
    shading.use_world_space_lighting = True
    shading.studiolight_rotate_z = float(rng.uniform(-np.pi, np.pi))
    shading.show_specular_highlight = bool(rng.random() < 0.3)
    shading.show_cavity = bool(rng.random() < 0.35)
    shading.cavity_type = "WORLD"
    shading.show_shadows = bool(rng.random() < 0.25)
    shading.shadow_intensity = float(rng.uniform(0.2, 0.6))
    scene.display.light_direction = figures.unit(rng.normal(0, 1, 3) * (1, 1, 0) + (0, 0, 1.0))
    settings = scene.view_settings
    settings.view_transform = str(rng.choice(["Standard", "AgX", "Filmic"], p=[0.6, 0.25, 0.15]))
    settings.exposure = 0.6 if settings.view_transform == "AgX" else 0.0
    settings.gamma = float(rng.uniform(0.85, 1.2))
    if engine == "workbench":
        return
    world = scene.world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*(0.5 + 0.5 * rng.random(3)), 1)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = float(rng.uniform(0.2, 0.9))
    for _ in range(rng.integers(1, 4)):
        light = bpy.data.lights.new("light", "AREA")
        light.energy, light.size = float(rng.uniform(60, 350)), float(rng.uniform(0.2, 3))
        light.color = 1 - 0.35 * rng.random(3)
        angle = np.arctan2(view.eye[1], view.eye[0]) + rng.uniform(-1.4, 1.4)
        distance = rng.uniform(2, 4)
        place = Vector((distance * np.cos(angle), distance * np.sin(angle), rng.uniform(1.6, 2.9)))
        lamp = bpy.data.objects.new("light", light)
        lamp.location = place
        lamp.rotation_mode = "QUATERNION"
        lamp.rotation_quaternion = (place - Vector((0, 0, 1))).to_track_quat("Z", "Y")
        scene.collection.objects.link(lamp)


_ENGINES = {
    "workbench": ("BLENDER_WORKBENCH",),
    "cycles": ("CYCLES",),
    "eevee": ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"),
}


def set_up(job: dict) -> None:
    """The renderer's settings that no scene changes."""
    scene = bpy.context.scene
    render = scene.render
    render.resolution_x = render.resolution_y = job["size"]
    render.resolution_percentage = 100
    render.film_transparent = True
    render.threads_mode, render.threads = "FIXED", job["threads"]
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA"
    render.image_settings.compression = 0
    render.use_file_extension = False
    cycles = getattr(scene, "cycles", None)
    if job["engine"] == "cycles" and cycles:
        cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", job["samples"], False
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 1
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
        cycles.denoising_prefilter = "FAST"


def _use_engine(engine: str) -> None:
    for name in _ENGINES[engine]:
        with contextlib.suppress(TypeError):  # Blender 4.2 to 4.5 call EEVEE by another name
            bpy.context.scene.render.engine = name


def _render(studio: Studio, seed: int) -> np.ndarray:
    """People and furniture (H, W, 4) 0..1 in display colours, with alpha."""
    scene = bpy.context.scene
    _use_engine(studio.job["engine"])
    scene.display.render_aa = "FXAA"
    if scene.render.engine == "CYCLES":
        scene.cycles.seed = seed
    return _shoot(studio)


def _background(
    studio: Studio,
    rng: np.random.Generator,
    view: View,
    kind: str,
    instant: int,
    standing: list[np.ndarray],
    turn: float,
) -> np.ndarray:
    """What lies behind people and furniture (H, W, 3) 0..1 in display colours."""
    if kind == "room":
        return np.clip(studio.room(instant).image(view, standing), 0, 1) ** (1 / 2.2)
    if kind == "photograph":
        return _crop(studio.picture(studio.photographs[rng.integers(len(studio.photographs))]), rng, view.size)
    if kind == "panorama":
        number = int(turn / (2 * np.pi) * len(studio.panoramas))
        return scenery.sample_panorama(studio.picture(studio.panoramas[number]), view, turn * len(studio.panoramas))
    return scenery.backdrop(rng, view.size)


def _expose(pixels: np.ndarray, behind: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """People over their background, each made about as bright as it should be, as a camera's exposure does."""
    front, alpha = pixels[..., :3], pixels[..., 3:]
    weight = alpha.sum()
    if weight > 0:
        mean = float((front * alpha).sum() / weight / 3)
        front = front * np.clip(brightness[0] / max(mean, 0.02), 0.6, 2.2)
    behind = behind * np.clip(brightness[1] / max(float(behind.mean()), 0.02), 0.5, 2.5)
    return np.clip(front, 0, 1) * alpha + np.clip(behind, 0, 1) * (1 - alpha)


def _crop(picture: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """A random square part of a picture, mirrored or not, at `size` px."""
    h, w = picture.shape[:2]
    side = min(h, w) * rng.uniform(0.5, 1.0)
    top, left = rng.uniform(0, h - side), rng.uniform(0, w - side)
    rows = (top + (np.arange(size) + 0.5) * side / size).astype(int).clip(0, h - 1)
    columns = (left + (np.arange(size) + 0.5) * side / size).astype(int).clip(0, w - 1)
    part = picture[rows][:, columns]
    return part[:, ::-1] if rng.random() < 0.5 else part


def _masks(studio: Studio, view: View, count: int) -> np.ndarray:
    """Index (H, W) of the person seen in each pixel, -1 elsewhere."""
    if count == 0:
        return np.full((view.size, view.size), -1)
    scene = bpy.context.scene
    shading, settings = scene.display.shading, scene.view_settings
    kept = shading.light, shading.color_type, shading.show_shadows, shading.show_cavity
    kept_view = settings.view_transform, settings.exposure, settings.gamma
    shading.light, shading.color_type, shading.show_shadows, shading.show_cavity = "FLAT", "OBJECT", False, False
    settings.view_transform, settings.exposure, settings.gamma = "Raw", 0, 1
    scene.display.render_aa = "OFF"
    _use_engine("workbench")
    pixels = _shoot(studio)
    shading.light, shading.color_type, shading.show_shadows, shading.show_cavity = kept
    settings.view_transform, settings.exposure, settings.gamma = kept_view
    levels = np.round(pixels[..., 0] * 255).astype(int)
    person = (pixels[..., 3] > 0.5) & (pixels[..., 1] < 0.5 / 255) & (levels % _ID_STEP == 0) & (levels > 0)
    return np.where(person, levels // _ID_STEP - 1, -1)


def _shoot(studio: Studio) -> np.ndarray:
    """Render; pixels (H, W, 4) 0..1, first row at the top."""
    path = studio.scratch / f"{studio.job['number']}.png"
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    image.alpha_mode = "CHANNEL_PACKED"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]


def _write_jpeg(picture: np.ndarray, path: Path, quality: int) -> None:
    height, width = picture.shape[:2]
    image = bpy.data.images.new("out", width, height)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = np.clip(picture[::-1], 0, 1)
    image.pixels.foreach_set(pixels.ravel())
    image.file_format = "JPEG"
    partial = path.with_suffix(".part")
    image.save(filepath=str(partial), quality=quality)
    bpy.data.images.remove(image)
    partial.replace(path)


def _annotation(image_id: int, k: int, person: Person, view: View, mask: np.ndarray) -> dict:
    """One person in one picture, in COCO's words."""
    pixels, depths = view.project(person.labels)
    inside = (depths > 0.05) & (pixels >= -0.5).all(1) & (pixels < view.size - 0.5).all(1)
    seen = inside & _seen(view, person, k)
    visibility = np.where(seen, 2, np.where(inside, 1, 0)) * mask.any()  # whom nobody can see has no joints to find
    flat = np.c_[np.where(visibility[:, None] > 0, pixels, 0), visibility]
    rows, columns = np.nonzero(mask)
    box = [0, 0, 0, 0]
    if len(rows):
        box = [int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    return {
        "id": image_id * 8 + k,
        "image_id": image_id,
        "category_id": 1,
        "person": k,
        "subject": person.figure.name,
        "keypoints": [round(float(value), 3) for value in flat.ravel()],
        "num_keypoints": int((visibility > 0).sum()),
        "keypoints_3d": person.labels.round(5).tolist(),
        "bbox": box,
        "area": len(rows),
        "segmentation": rle(mask),
        "iscrowd": 0,
    }


def _seen(view: View, person: Person, k: int) -> np.ndarray:
    """Which labels (23,) nothing hides but the skin that lies over them."""
    scene, graph = bpy.context.scene, bpy.context.evaluated_depsgraph_get()
    seen = []
    for label, radius in zip(person.labels, _DEPTHS, strict=True):
        ray = label - view.eye
        distance = float(np.linalg.norm(ray))
        hit, place, _, _, thing, _ = scene.ray_cast(graph, Vector(view.eye), Vector(ray / distance))
        if not hit:
            seen.append(True)
            continue
        depth = distance - (np.array(place) - view.eye) @ (ray / distance)
        own = thing.get("person", -1) == k
        seen.append(depth < (radius if own else 0.01))
    return np.array(seen)


def _follow_parent() -> None:
    """End when the other end of our input closes."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> None:
    """Render this process's share of the job; ends at once when whoever started it is gone."""
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    job = json.loads(Path(arguments[0]).read_text("utf-8"))
    job["number"] = int(arguments[1])
    if job["follow_parent"]:
        threading.Thread(target=_follow_parent, daemon=True).start()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if job["rocketbox"]:
        bpy.ops.preferences.addon_enable(module="io_scene_fbx")
    set_up(job)
    studio = Studio(job)
    folder = Path(job["folder"])
    done = done_instants(folder)
    mine = range(job["number"], job["instants"], job["processes"])
    with open_records(folder, job["number"]) as records:
        for instant in mine:
            if instant not in done:
                line = json.dumps(compose(studio, instant), separators=(",", ":"))
                records.write(line + "\n")
                records.flush()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender up to 4.5 crashes now and then while Python ends
