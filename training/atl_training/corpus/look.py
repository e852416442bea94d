"""How one person and one scene look: skin, make-up, stubble, hair, iris, teeth, light, background."""

from dataclasses import dataclass

import cv2
import numpy as np

from atl_training.corpus.assets import Assets
from atl_training.corpus.dentition import Dentition, random_dentition
from atl_training.corpus.glasses import Glasses, random_glasses
from atl_training.corpus.identity import ANCESTRIES, Identity

HAIR_COLOURS = {  # linear RGB of lit hair
    "black": (0.020, 0.017, 0.015), "dark brown": (0.055, 0.034, 0.022), "brown": (0.12, 0.065, 0.035),
    "blond": (0.42, 0.29, 0.14), "red": (0.21, 0.08, 0.032), "grey": (0.22, 0.213, 0.205),
}  # fmt: skip
# bob01, bob02 and short03 are left out: their fringe covers an eye.
MALE_HAIR = ("short01", "short02", "short01", "short04", "short02", "short04", "afro01", None)
FEMALE_HAIR = (
    "long01", "ponytail01", "long01", "ponytail01", "short02", "short04", "ponytail01", "long01", "Braid01", "afro01",
)  # fmt: skip
IRIS_DARK = ((70, 40, 22), (45, 26, 15), (90, 58, 30))
IRIS_LIGHT = ((70, 40, 22), (95, 125, 150), (110, 130, 95), (120, 135, 140), (100, 75, 40))
TEETH = ("Teeth_Base", "Teeth_Shape01", "Teeth_Shape02", "Teeth_Shape03", "Teeth_Shape04", "Teeth_Shape05")
LASHES = ("Eyelashes01", "eyelashes02", "eyelashes03", "eyelashes04")


@dataclass
class Person:
    """What belongs to an identity and stays in all of its clips. Colours are linear RGB, 1 = unchanged."""

    hair: str | None
    brow: str
    lashes: str
    teeth: str
    skin: str  # texture path
    skin_tone: np.ndarray  # (3,) factor
    freckles: float  # 0..1
    stubble: float  # 0..1
    stubble_colour: np.ndarray
    buzz: float  # 0..1 shade of cropped hair on the scalp
    blush: float
    eye_shadow: np.ndarray  # (4,) colour and strength
    lip_tint: np.ndarray
    lip_gloss: float
    hair_colour: np.ndarray
    brow_colour: np.ndarray
    iris: np.ndarray  # (256, 256, 3) uint8
    teeth_tint: np.ndarray
    tongue_tint: np.ndarray
    mouth_dark: float  # 1 usual; larger: darker inside
    shine: float
    dentition: Dentition
    glasses: Glasses | None
    wrinkles: float  # 0..1: how deep they are at rest, and how much expression deepens them
    wrinkle_seed: int


@dataclass
class Scene:
    """What changes from clip to clip: light, cloth, background, exposure."""

    key_direction: np.ndarray
    key_colour: np.ndarray
    fill_direction: np.ndarray
    fill_colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    rim_direction: np.ndarray
    rim_colour: np.ndarray
    softness: float  # 0 a bare lamp, 1 a large soft box: light reaches around the form
    shadow: float
    exposure: float
    cloth: np.ndarray
    neckline: tuple[float, float]  # height over the collar bone in dm, depth of the V
    background: np.ndarray  # (128, 128, 3) uint8


def random_person(assets: Assets, rng: np.random.Generator, identity: Identity) -> Person:
    """Draw a consistent appearance for an identity."""
    life = "young" if identity.age < 42 else ("middleage" if identity.age < 60 else "old")
    sharp = identity.ancestry**4 / (identity.ancestry**4).sum()
    ancestry = ANCESTRIES[int(rng.choice(3, p=sharp))]
    skin = str(rng.choice(assets.skins[f"{life}_{ancestry}_{'male' if identity.is_male else 'female'}"]))
    names = ["black", "dark brown"] if ancestry != "caucasian" else ["black", "dark brown", "brown", "blond", "red"]
    names = names + ["grey"] * (6 if identity.age > 60 else (1 if identity.age > 48 else 0))
    hair_colour = np.array(HAIR_COLOURS[str(rng.choice(names))]) * rng.uniform(0.8, 1.25)
    hair = rng.choice(np.array(MALE_HAIR if identity.is_male else FEMALE_HAIR, dtype=object))
    if hair == "afro01" and (ancestry != "african" or hair_colour.max() > 0.1):  # its facets show when it is light
        hair = "short04"
    if hair is None and identity.age < 16:
        hair = "short01"
    made_up = not identity.is_male and rng.random() < 0.5 and identity.age > 15
    irises = IRIS_LIGHT if ancestry == "caucasian" else IRIS_DARK
    yellow = rng.uniform(0, 1)  # of the teeth
    pale = {"african": (0.75, 1.25), "asian": (0.85, 1.08), "caucasian": (0.82, 1.08)}[ancestry]
    later = rng.spawn(1)[0]  # a stream of its own: the shipped portrait was drawn before these existed
    cooler = np.array([0.92, 1.0, 1.06]) if ancestry == "african" else np.ones(3)  # those skins are painted too red
    return Person(
        hair=hair,
        brow=f"eyebrow{int(rng.integers(1, 10)):03d}",
        lashes=str(rng.choice(LASHES)) if not identity.is_male else "Eyelashes01",
        teeth=str(rng.choice(TEETH)),
        skin=skin,
        skin_tone=rng.uniform(*pale) * np.clip(rng.normal(1, 0.04, 3), 0.9, 1.1) * cooler,
        freckles=float(np.clip(rng.normal(-0.2, 0.5), 0, 0.6)) if ancestry == "caucasian" else 0.0,
        stubble=float(rng.choice([0, 0.25, 0.5, 0.9]) * rng.uniform(0.6, 1)) if identity.is_male and identity.age > 16 else 0.0,
        stubble_colour=hair_colour * 0.7 + 0.008,
        buzz=float(rng.uniform(0.2, 0.9)) if hair is None else 0.0,
        blush=float(rng.uniform(0, 0.5) if made_up else rng.uniform(0, 0.25)),
        eye_shadow=np.append(rng.uniform(0.1, 0.6, 3), rng.uniform(0.1, 0.45) if made_up else 0.0),
        lip_tint=np.array([1, rng.uniform(0.45, 0.85), rng.uniform(0.5, 0.9)]) * rng.uniform(0.7, 1.0)
        if made_up
        else np.array([1, rng.uniform(0.8, 1), rng.uniform(0.8, 1)]),
        lip_gloss=float(rng.uniform(0.4, 1.6)),
        hair_colour=hair_colour,
        brow_colour=np.minimum(hair_colour, 0.1) * 0.7,
        iris=draw_iris(rng, irises[int(rng.integers(len(irises)))]),
        teeth_tint=np.array([1, 0.98 - 0.08 * yellow, 0.95 - 0.30 * yellow]) * rng.uniform(0.72, 1.05),
        tongue_tint=np.array([0.95, rng.uniform(0.55, 0.85), rng.uniform(0.55, 0.85)]) * rng.uniform(0.8, 1.15),
        mouth_dark=float(rng.uniform(0.6, 1.5)),
        shine=float(rng.uniform(0.4, 1.2)),
        dentition=random_dentition(later, identity.age),
        glasses=random_glasses(later, identity.age),
        wrinkles=float(np.clip((identity.age - 25) / 50, 0, 1) * later.uniform(0.5, 1)),
        wrinkle_seed=int(later.integers(2**31)),
    )


def random_scene(rng: np.random.Generator) -> Scene:
    azimuth, height = rng.uniform(-0.9, 0.9), rng.uniform(0.1, 0.8)
    warm = rng.uniform(-0.12, 0.12)
    softness = float(rng.choice([0.0, rng.uniform(0, 1)]))
    behind = float(rng.choice([-1, 1])) * rng.uniform(0.5, 1.0)
    return Scene(
        key_direction=_unit([np.sin(azimuth), height, np.cos(azimuth)]),
        key_colour=np.array([1 + warm, 1, 1 - warm]) * rng.uniform(1.2, 2.1),
        fill_direction=_unit([-np.sin(azimuth) * 1.2, 0.15, 0.7]),
        fill_colour=np.array([1 - warm, 1, 1 + warm]) * rng.uniform(0.2, 0.6),
        sky=np.array([0.50, 0.52, 0.56]) * rng.uniform(0.6, 1.2),
        ground=np.array([0.30, 0.26, 0.24]) * rng.uniform(0.6, 1.2),
        rim_direction=_unit([behind, rng.uniform(0, 0.7), -0.6]),
        rim_colour=rng.uniform(0.85, 1.15, 3) * float(rng.choice([0, 0, rng.uniform(0.5, 2.0)])),
        softness=softness,
        shadow=float(rng.uniform(0.55, 0.95)) * (1 - 0.5 * softness),
        exposure=float(rng.uniform(0.85, 1.15)),
        cloth=rng.uniform(0.02, 0.6, 3) * rng.uniform(0.3, 1),
        neckline=(float(rng.uniform(-0.25, 0.1)), float(rng.choice([0.0, 0.0, 0.5, 0.9]))),
        background=draw_background(rng),
    )


def draw_background(rng: np.random.Generator) -> np.ndarray:
    """An out-of-focus room: a gradient with muted blobs, (128, 128, 3) uint8."""
    down = np.linspace(0, 1, 128)[:, None, None]
    picture = rng.uniform(20, 200, 3) * (1 - down) + rng.uniform(20, 200, 3) * down
    picture = np.broadcast_to(picture, (128, 128, 3)).astype(np.float32).copy()
    for _ in range(int(rng.integers(0, 14))):
        colour = rng.uniform(10, 240, 3).tolist()
        x, y = (int(v) for v in rng.integers(0, 128, 2))
        if rng.random() < 0.5:
            corner = (x + int(rng.integers(8, 60)), y + int(rng.integers(8, 90)))
            cv2.rectangle(picture, (x, y), corner, colour, -1)
        else:
            cv2.circle(picture, (x, y), int(rng.integers(4, 25)), colour, -1)
    grey = picture.mean(2, keepdims=True)
    picture = cv2.GaussianBlur(grey + (picture - grey) * rng.uniform(0.05, 0.5), (0, 0), rng.uniform(1.5, 7))
    return np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)


def draw_iris(rng: np.random.Generator, colour: tuple[int, int, int], size: int = 256) -> np.ndarray:
    """The eyeball's front as seen from straight ahead: sclera, iris with fibres and limbus, pupil."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    edge, pupil = 0.43, rng.uniform(0.16, 0.22)

    def inside(limit: float, width: float) -> np.ndarray:
        return np.clip((limit - radius) / width + 0.5, 0, 1)[..., None]

    fibres = rng.normal(0, 1, 96)
    wave = np.interp(angle, np.linspace(-np.pi, np.pi, 97), np.append(fibres, fibres[0]))
    light = (1 + 0.22 * wave * np.clip(radius / edge, 0, 1)) * (1.25 - 0.5 * np.clip(radius / edge, 0, 1))
    iris = np.array(colour) * rng.uniform(0.8, 1.2) * light[..., None]
    sclera = np.array([228, 219, 212]) * (1 - 0.22 * np.clip(radius - 0.5, 0, 1))[..., None]
    picture = sclera + (iris - sclera) * inside(edge, 0.06)
    picture *= 1 - 0.5 * np.exp(-(((radius - edge) / 0.05) ** 2))[..., None]
    picture += (8 - picture) * inside(pupil, 0.04)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _unit(vector) -> np.ndarray:
    vector = np.asarray(vector, float)
    return vector / np.linalg.norm(vector)
