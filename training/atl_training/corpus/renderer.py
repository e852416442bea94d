"""Draws a Head headless with OpenGL (EGL; llvmpipe does): shadow map, baked sky openness, supersampling."""

from pathlib import Path

import cv2
import moderngl
import numpy as np

from atl_face.errors import UserError
from atl_training.corpus import shaders, textures
from atl_training.corpus.assets import Assets
from atl_training.corpus.camera import Camera
from atl_training.corpus.head import NECK_PIVOT, Head, HeadKit
from atl_training.corpus.look import Person, Scene

SCENE_CENTRE = np.array([0.0, 7.0, 0.6])
OPENNESS_DIRECTIONS = 32
_CASTS_SHADOW = ("body", "hair")  # a thin frame would cast a dotted line on a map of 512 px
_BLOCKS_SKY = ("body", "eyes", "hair", "teeth", "tongue")
_DRAW_ORDER = ("hair", "body", "cloth", "eyes", "teeth", "tongue", "brow", "lash", "glasses")
_IDENTITY3 = np.eye(3)
_SMOOTH = (0.0, 0.0, 0.0, 0.0)


class Renderer:
    """One OpenGL context. `set_head` once per person and scene, `draw` per frame.

    size: picture side in px; supersample: 1.5 gives clean edges at 2.25 times the pixels; fine: soft shadows and skin
    bumps, four times as slow.
    """

    HOLED = ("hair",)  # parts whose depth follows the texture's alpha

    def __init__(self, kit: HeadKit, size: int, *, supersample: float = 1.5, shadow_size: int = 512, fine: bool = False):
        self.assets: Assets = kit.assets
        try:
            self.context = moderngl.create_context(standalone=True, backend="egl")
        except Exception as error:  # moderngl raises nothing more special
            raise UserError(f"OpenGL can't be opened without a screen ({error}): `apt install libegl1 libgl1-mesa-dri`, or make "
                            "a --draft.") from error  # fmt: skip
        self.size, self.side, self.shadow_size = size, int(size * supersample), shadow_size
        context = self.context
        defines = "#define FINE\n" if fine else ""
        self.programs = {
            name: context.program(shaders.VERTEX, f"#version 330\n{defines}#define MATERIAL {k}\n{shaders.FRAGMENT}")
            for k, name in enumerate(shaders.MATERIALS)
        }
        self.solid = context.program(shaders.DEPTH_VERTEX, shaders.SOLID_FRAGMENT)
        self.holed = context.program(shaders.DEPTH_VERTEX, shaders.HOLED_FRAGMENT)
        background = context.program(shaders.BACKGROUND_VERTEX, shaders.BACKGROUND_FRAGMENT)
        corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32))
        self.backdrop = context.vertex_array(background, [(corners, "2f", "corner")])
        self.target = context.framebuffer(
            [context.texture((self.side, self.side), 4)], context.depth_renderbuffer((self.side, self.side))
        )
        self.shadow_map = context.depth_texture((shadow_size, shadow_size))
        self.shadow_map.compare_func = "<="
        self.shadow_map.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self.shadow_target = context.framebuffer(depth_attachment=self.shadow_map)
        self.noise = self._texture(textures.noise_texture())
        self.white = context.texture((1, 1), 4, b"\xff" * 4)
        self._by_path: dict[str, moderngl.Texture] = {}
        self._owned: list = []
        base = self.assets.mesh.vertices
        self._paint = np.hstack([textures.paint_masks(base, kit.body_ids), textures.wrinkle_plane(base, kit.body_ids)])

    def _texture(self, picture: np.ndarray) -> moderngl.Texture:
        texture = self.context.texture(
            picture.shape[1::-1], picture.shape[2], np.ascontiguousarray(picture[::-1]).tobytes(), alignment=1
        )
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        return texture

    def _from_file(self, path: Path) -> moderngl.Texture:
        key = str(path)
        if key not in self._by_path:
            if "/skins/" in key:
                picture = textures.skin_texture(path, self.assets.lip_mask)
            elif "/hair/" in key:
                picture = textures.hair_texture(path)
            else:
                picture = textures.read_rgba(path)
            self._by_path[key] = self._texture(picture)
        return self._by_path[key]

    def set_head(self, head: Head, person: Person, scene: Scene) -> None:
        """Upload a person's mesh and textures, and bake how much sky each vertex sees."""
        for thing in self._owned:
            thing.release()
        self.head, self.person, self.scene = head, person, scene
        context, parts = self.context, head.parts
        starts = np.cumsum([0] + [len(part.render_vertex) for part in parts])
        uvs = np.concatenate([part.render_uv for part in parts]).astype(np.float32)
        paint = np.zeros((len(head.v0), 6), np.float32)
        paint[head.part_slice("body")] = self._paint
        paint[head.part_slice("teeth"), :2] = head.tooth_shade
        fixed = np.concatenate([uvs, head.follow[head.render_vertex, None], paint[head.render_vertex]], 1)
        self.vertex_buffer = context.buffer(reserve=len(head.render_vertex) * 6 * 4, dynamic=True)
        fixed_buffer = context.buffer(np.ascontiguousarray(fixed, np.float32))
        self.openness_buffer = context.buffer(np.ones(len(head.render_vertex), np.float32))
        self._owned = [self.vertex_buffer, fixed_buffer, self.openness_buffer]
        self.shapes, self.depth_shapes = {}, {}
        for part, start in zip(parts, starts, strict=False):
            indices = context.buffer((part.render_triangles + start).astype(np.int32))
            self.shapes[part.name] = context.vertex_array(
                self.programs[part.name],
                self._layout(part.name, fixed_buffer),
                indices,
            )
            if part.name in self.HOLED:
                layout = (fixed_buffer, "2f 1f 24x", "uv", "follow")
            else:
                layout = (fixed_buffer, "8x 1f 24x", "follow")
            self.depth_shapes[part.name] = context.vertex_array(
                self.holed if part.name in self.HOLED else self.solid,
                [(self.vertex_buffer, "3f 12x", "position"), layout],
                indices,
            )
            self._owned += [indices, self.shapes[part.name], self.depth_shapes[part.name]]
        data = self.assets.makehuman / "proxies"
        eyes = self._texture(np.dstack([person.iris, np.full(person.iris.shape[:2], 255, np.uint8)]))
        self.wrinkle_map = self._texture(textures.wrinkle_texture(person.wrinkle_seed))
        self._owned += [eyes, self.wrinkle_map]
        self.colours = {
            "body": self._from_file(Path(person.skin)),
            "eyes": eyes,
            "teeth": self._from_file(next((data / f"teeth/{person.teeth}/textures").glob("*.png"))),
            "tongue": self._from_file(data / "tongue/tongue01/textures/tongue01_diffuse.png"),
            "brow": self._from_file(data / f"eyebrows/{person.brow}/textures/{person.brow}.png"),
            "lash": self._from_file(next((data / f"eyelashes/{person.lashes}/textures").glob("*.png"))),
        }
        if person.hair:
            self.colours["hair"] = self._from_file(next((data / f"hair/{person.hair}/textures").glob("*.png")))
        self._bake_openness()
        self.set_scene(scene)

    def _layout(self, name: str, fixed_buffer) -> list:
        """Buffers of a material's program, without the inputs that its compiler dropped."""
        members = {key for key in self.programs[name] if isinstance(self.programs[name][key], moderngl.Attribute)}

        def kept(buffer, items) -> tuple:
            names = [item for item, _ in items if item in members]
            layout = " ".join(f"{n}f" if item in members else f"{n * 4}x" for item, n in items)
            return (buffer, layout, *names)

        wanted = [
            kept(self.vertex_buffer, [("position", 3), ("normal", 3)]),
            kept(fixed_buffer, [("uv", 2), ("follow", 1), ("paint", 4), ("plane", 2)]),
            kept(self.openness_buffer, [("openness", 1)]),
        ]
        return [layout for layout in wanted if len(layout) > 2]

    def set_scene(self, scene: Scene) -> None:
        """Set light, cloth and background; cheap."""
        self.scene, person = scene, self.person
        picture = scene.background
        self.background = self.context.texture(picture.shape[1::-1], 3, picture.tobytes(), alignment=1)
        self.background.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self.background.repeat_x = self.background.repeat_y = False
        self._owned.append(self.background)
        light = _orthographic(2.4, 0.1, 14) @ _look_at(SCENE_CENTRE + 7 * scene.key_direction, SCENE_CENTRE)
        self.light = light
        tints = {
            "body": person.skin_tone, "cloth": scene.cloth, "eyes": (0.8, 0.8, 0.8), "teeth": person.teeth_tint,
            "tongue": person.tongue_tint, "brow": person.brow_colour, "lash": (0.01, 0.01, 0.01),
            "hair": person.hair_colour, "glasses": person.glasses.colour if person.glasses else (0, 0, 0),
        }  # fmt: skip
        shared = {
            "key_direction": scene.key_direction, "key_colour": scene.key_colour,
            "fill_direction": scene.fill_direction, "fill_colour": scene.fill_colour, "sky": scene.sky,
            "ground": scene.ground, "rim_direction": scene.rim_direction, "rim_colour": scene.rim_colour,
            "softness": scene.softness, "shadow_strength": scene.shadow, "exposure": scene.exposure,
            "lip_tint": person.lip_tint, "lip_gloss": person.lip_gloss, "freckles": person.freckles,
            "stubble": person.stubble, "stubble_colour": person.stubble_colour, "buzz": person.buzz,
            "blush": person.blush, "eye_shadow": person.eye_shadow, "mouth_dark": person.mouth_dark,
            "shine": person.shine, "lip_front_z": self.head.lip_front_z,
            "neckline": (-scene.neckline[0], self.head.v0[self.head.landmark_rows[8], 1] - 0.62, scene.neckline[1]),
        }  # fmt: skip
        for name, program in self.programs.items():
            _set(program, shared | {"tint": tints[name], "pivot": NECK_PIVOT, "colour": 0, "shadow_map": 1, "noise": 2,
                                     "wrinkle_map": 3})  # fmt: skip
            _matrix(program, "light_projection", light)
        for program in (self.solid, self.holed):
            _set(program, {"pivot": NECK_PIVOT})

    def draw(self, vertices: np.ndarray, camera: Camera, *, rotation: np.ndarray = _IDENTITY3,
             shift: tuple = (0.0, 0.0, 0.0), mouth_open: float = 0.0, wrinkles: tuple = _SMOOTH) -> np.ndarray:  # fmt: skip
        """Draw vertices (n, 3) of Head.vertices with a head pose (mesh axes): RGB (size, size, 3) uint8.

        mouth_open: how much light falls into the mouth, 0..1. wrinkles: depth of the four kinds of
        `textures.wrinkle_texture`, 0..1 each.
        """
        context, head = self.context, self.head
        self._upload(vertices, head.normals(vertices))
        for program in (*self.programs.values(), self.solid, self.holed):
            _matrix(program, "turn", rotation)
            _set(program, {"shift": shift})
        context.enable(moderngl.DEPTH_TEST)
        context.disable(moderngl.BLEND | moderngl.CULL_FACE)
        self._fill_shadow_map(self.light, _CASTS_SHADOW)
        self.target.use()
        context.viewport = (0, 0, self.side, self.side)
        self.target.clear()
        self.background.use(0)
        context.depth_func = "<="
        self.backdrop.render(moderngl.TRIANGLE_STRIP)
        context.depth_func = "<"
        self.shadow_map.use(1)
        self.noise.use(2)
        self.wrinkle_map.use(3)
        view = camera.view_projection()
        for name in self.shapes:
            program = self.programs[name]
            _matrix(program, "view_projection", view)
            _set(program, {"eye": camera.position, "mouth_open": mouth_open, "rim_pass": 0, "wrinkles": wrinkles})
        self.target.color_mask = False, False, False, False
        self._draw_depth(view, ("hair",))
        self.target.color_mask = True, True, True, True
        for name in _DRAW_ORDER:
            if name in self.shapes:
                context.depth_func = "<=" if name in self.HOLED else "<"
                (context.disable if name in shaders.SOFT_EDGED else context.enable)(moderngl.CULL_FACE)
                self.colours.get(name, self.white).use(0)
                self.shapes[name].render()
        context.depth_func = "<"
        context.disable(moderngl.CULL_FACE)
        context.enable(moderngl.BLEND)
        self.target.depth_mask = False
        for name in shaders.SOFT_EDGED:
            if name in self.shapes:
                _set(self.programs[name], {"rim_pass": 1})
                self.colours[name].use(0)
                self.shapes[name].render()
        self.target.depth_mask = True
        raw = np.frombuffer(self.target.read(components=3, alignment=1), np.uint8)
        picture = raw.reshape(self.side, self.side, 3)[::-1]
        if self.side != self.size:
            picture = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(picture)

    def _upload(self, vertices: np.ndarray, normals: np.ndarray) -> None:
        both = np.concatenate([vertices, normals], 1).astype(np.float32, copy=False)
        self.vertex_buffer.write(both[self.head.render_vertex])

    def _fill_shadow_map(self, projection: np.ndarray, casters: tuple[str, ...]) -> None:
        self.shadow_target.use()
        self.context.viewport = (0, 0, self.shadow_size, self.shadow_size)
        self.shadow_target.clear(depth=1.0)
        self._draw_depth(projection, casters)

    def _draw_depth(self, projection: np.ndarray, names: tuple[str, ...]) -> None:
        for program in (self.solid, self.holed):
            _matrix(program, "view_projection", projection)
        _set(self.holed, {"colour": 0, "least_alpha": 0.36})  # hair: .5 after its factor 1.4
        for name in names:
            if name in self.depth_shapes:
                self.colours.get(name, self.white).use(0)
                self.depth_shapes[name].render()

    def _bake_openness(self) -> None:
        """Cosine-weighted share of the sky that each vertex of the resting face sees, from shadow maps all around."""
        head = self.head
        vertices = head.vertices(np.zeros(len(head.landmark_units)))
        normals = head.normals(vertices)
        self._upload(vertices, normals)
        self.context.enable(moderngl.DEPTH_TEST)
        self.context.disable(moderngl.CULL_FACE)
        for program in (self.solid, self.holed):
            _matrix(program, "turn", _IDENTITY3)
            _set(program, {"shift": (0, 0, 0), "pivot": NECK_PIVOT})
        centre = np.array([0, 7.2, 0.6])
        raised = np.c_[vertices + 0.02 * normals, np.ones(len(vertices))]  # off its own surface
        seen, total = np.zeros(len(vertices)), np.full(len(vertices), 1e-6)
        for direction in _sphere(OPENNESS_DIRECTIONS):
            projection = _orthographic(2.6, 0.1, 12) @ _look_at(centre + 6 * direction, centre, (0, 1, 0.01))
            self._fill_shadow_map(projection, _BLOCKS_SKY)
            depth = np.frombuffer(self.shadow_map.read(), np.float32).reshape(self.shadow_size, -1)
            at = raised @ projection.T * 0.5 + 0.5
            column, row = ((at[:, :2] * self.shadow_size).astype(int).clip(0, self.shadow_size - 1)).T
            visible = depth[row, column] + 0.004 > at[:, 2]
            weight = np.maximum(normals @ direction, 0) * (1 + 0.5 * direction[1])  # brighter from above
            seen += visible * weight
            total += weight
        openness = seen / total
        faces = np.maximum(np.asarray(head.vertex_faces.sum(1)).ravel(), 1)
        for _ in range(2):
            openness = head.vertex_faces @ openness[head.triangles].mean(1) / faces
        openness = np.clip(1.25 * openness, 0.08, 1)
        for name in ("brow", "lash"):
            openness[head.part_slice(name)] = 1
        self.openness_buffer.write(openness[head.render_vertex].astype(np.float32))


def _set(program: moderngl.Program, values: dict) -> None:
    for name, value in values.items():
        if name in program:
            program[name] = value if np.isscalar(value) else tuple(float(v) for v in value)


def _matrix(program: moderngl.Program, name: str, matrix: np.ndarray) -> None:
    if name in program:
        program[name].write(np.ascontiguousarray(matrix.T, np.float32))


def _sphere(count: int) -> np.ndarray:
    """Even directions by the golden angle, (count, 3)."""
    k = np.arange(count)
    z = 1 - 2 * (k + 0.5) / count
    angle = k * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), z, np.sqrt(1 - z * z) * np.sin(angle)], 1)


def _look_at(eye, target, up=(0, 1, 0)) -> np.ndarray:
    back = np.subtract(eye, target)
    back = back / np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = np.stack([right, np.cross(back, right), back])
    view[:3, 3] = -view[:3, :3] @ np.asarray(eye)
    return view


def _orthographic(radius: float, near: float, far: float) -> np.ndarray:
    return np.array([
        [1 / radius, 0, 0, 0], [0, 1 / radius, 0, 0], [0, 0, -2 / (far - near), -(far + near) / (far - near)],
        [0, 0, 0, 1],
    ])  # fmt: skip
