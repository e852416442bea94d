"""A random person: sex, age (5-85), ancestry, weight, and many small facial proportions, on MakeHuman's base mesh."""

import re
from dataclasses import dataclass, field

import numpy as np

from atl_face.topology import eye_distance
from atl_training.corpus.assets import LANDMARK_VERTICES, Assets

ANCESTRIES = ("african", "asian", "caucasian")
_OPPOSITES = {
    "decr": -1, "incr": 1, "in": -1, "out": 1, "down": -1, "up": 1, "backward": -1, "forward": 1,
    "compress": -1, "uncompress": 1, "concave": -1, "convex": 1,
}  # fmt: skip
_AXIS = {"in": "-io", "out": "-io", "down": "-du", "up": "-du", "backward": "-bf", "forward": "-bf"}
_LOCAL = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek")
# The ages in years that the macro targets stand for; faces hardly change from 20 to 25.
LIVES = (("baby", 1), ("child", 10), ("young", 20), ("young", 25), ("old", 85))
NECK_DETAIL = 0.25  # standard deviation of the neck's sliders; necks show less than faces
YOUNG_SHARE = 0.2  # of the people are 5 to 19: their voices and proportions differ most, and robots meet them in schools
# Lateral shifts, tilted heads and septum targets make monsters, not people.
_SKIPPED = ("mouth/mouth-trans-io", "nose/nose-trans-io", "head/head-trans", "head/head-angle", "nose/nose-septum",
            "neck/neck-trans")  # fmt: skip


@dataclass
class Identity:
    """One person. `vertices` (V, 3) is the whole base mesh in decimetres, face at rest."""

    name: str
    vertices: np.ndarray
    ancestry: np.ndarray  # (3,) shares of ANCESTRIES
    male: float  # 0 female ... 1 male
    age: float  # years
    weight: float  # 0 thin ... 1 heavy
    muscle: float
    sliders: dict[str, float] = field(default_factory=dict)

    @property
    def is_male(self) -> bool:
        return self.male > 0.5


def sliders_of(assets: Assets, folders: tuple[str, ...] = _LOCAL) -> dict[str, dict[int, list[str]]]:
    """Group the targets of some folders into bipolar sliders: name -> {-1 | 0 | 1: target names}. Left and right move
    together."""
    sliders: dict[str, dict[int, list[str]]] = {}
    for name in assets.targets:
        folder, base = name.split("/")
        if folder not in folders:
            continue
        base = re.sub(r"^[lr]-", "", base)
        stem, _, last = base.rpartition("-")
        sign = _OPPOSITES.get(last, 0)
        key = f"{folder}/{stem}{_AXIS.get(last, '')}" if sign else f"{folder}/{base}"
        sliders.setdefault(key, {}).setdefault(sign, []).append(name)
    return sliders


def random_identity(
    assets: Assets,
    rng: np.random.Generator,
    name: str,
    *,
    detail: float = 0.27,
    ancestry: tuple[float, float, float] | None = None,
    male: float | None = None,
    age: float | None = None,
    weight: float | None = None,
) -> Identity:
    """Draw a person. What is given is kept, the rest is random.

    detail: standard deviation of the proportion sliders; .35 gives caricatures now and then, .2 siblings.
    """
    # Dirichlet .35: mostly one ancestry, sometimes mixed.
    shares = np.array(ancestry if ancestry is not None else rng.dirichlet([0.35] * 3), float)
    male = float(male if male is not None else np.clip(rng.choice([0.08, 0.92]) + rng.normal(0, 0.08), 0, 1))
    if age is None:
        age = rng.uniform(5, 20) if rng.random() < YOUNG_SHARE else rng.uniform(20, 85)
    age = float(age)
    muscle = float(np.clip(rng.normal(0.5, 0.15), 0, 1))
    weight = float(weight if weight is not None else np.clip(rng.normal(0.5, 0.18), 0.05, 0.95))
    vertices = assets.mesh.vertices.copy()

    def add(target: str, amount: float) -> None:
        if abs(amount) > 1e-4 and target in assets.targets:
            ids, offsets = assets.targets[target]
            vertices[ids] += amount * offsets

    for sex, sex_share in (("male", male), ("female", 1 - male)):
        for life, life_share in life_shares(age):
            for group, group_share in zip(ANCESTRIES, shares, strict=True):
                add(f"macrodetails/{group}-{sex}-{life}", group_share * sex_share * life_share)
            for build, build_share in _tent(muscle, "minmuscle", "averagemuscle", "maxmuscle"):
                for mass, mass_share in _tent(weight, "minweight", "averageweight", "maxweight"):
                    target = f"macrodetails/universal-{sex}-{life}-{build}-{mass}"
                    add(target, sex_share * life_share * build_share * mass_share)
    values = _slide(assets, sliders_of(assets), rng, detail, vertices)
    for target in assets.targets:  # nobody is symmetric
        if target.startswith("asym/") and "asymm" not in target and rng.random() < 0.3:
            values[target] = abs(float(rng.normal(0, 0.22)))
            add(target, values[target])
    return Identity(name, _grown(vertices, assets.mesh.vertices, age), shares, male, age, weight, muscle, values)


def vary_neck(assets: Assets, identity: Identity, rng: np.random.Generator) -> None:
    """Give an identity a neck of its own, in place: the seven sliders of the neck come on top of the face's 102."""
    identity.sliders |= _slide(assets, sliders_of(assets, ("neck",)), rng, NECK_DETAIL, identity.vertices)


def _slide(assets: Assets, sliders: dict, rng: np.random.Generator, detail: float, vertices: np.ndarray) -> dict[str, float]:
    """Draw a value for every slider and move the vertices by it, in place."""
    values = {}
    for key, sides in sliders.items():
        if key.startswith(_SKIPPED):
            continue
        values[key] = _slider_value(key, sides, rng, detail)
        sign = 0 if 0 in sides else (1 if values[key] > 0 else -1)
        for target in sides.get(sign, []):
            ids, offsets = assets.targets[target]
            vertices[ids] += abs(values[key]) * offsets
    return values


def life_shares(age: float) -> list[tuple[str, float]]:
    """Shares of the macro targets for an age in years, in the order of `LIVES`: piecewise linear between neighbours."""
    ages = [years for _, years in LIVES]
    return [(name, float(np.interp(age, ages, np.eye(len(LIVES))[k]))) for k, (name, _) in enumerate(LIVES)]


def _grown(vertices: np.ndarray, reference: np.ndarray, age: float) -> np.ndarray:
    """A child's head brought to the size of an adult's, `reference`, as far as it is a child's: the expression units are
    absolute offsets. A camera shows no difference."""
    young = sum(share for life, share in life_shares(age) if life in ("baby", "child"))
    mine = vertices[LANDMARK_VERTICES]
    middle = (mine[36] + mine[45]) / 2
    return (vertices - middle) * (eye_distance(reference[LANDMARK_VERTICES]) / eye_distance(mine)) ** young + middle


def seat(assets: Assets, identity: Identity) -> None:
    """Move a person, in place, so that their eyes are where the base mesh has its own: people differ in height, and the
    neck's pivot and the lights are set up for one place."""
    mine, wanted = (vertices[LANDMARK_VERTICES] for vertices in (identity.vertices, assets.mesh.vertices))
    identity.vertices += (wanted[36] + wanted[45] - mine[36] - mine[45]) / 2


def _slider_value(key: str, sides: dict, rng: np.random.Generator, detail: float) -> float:
    if 0 in sides:  # head shapes and the like: mostly absent
        return float(min(max(0.0, rng.normal(0, detail * 0.7)), 0.8)) if rng.random() < 0.3 else 0.0
    value = float(np.clip(rng.normal(0, detail), -0.75, 0.75))
    if "eye-scale" in key or "ear-scale" in key or "trans" in key or "push" in key or key.startswith("eyes/"):
        value *= 0.5  # these targets are strong
    if key == "eyebrows/eyebrows-angle-du":
        value = value * 0.5 + 0.25  # resting faces look stern without it
    return value


def _tent(value: float, low: str, middle: str, high: str) -> list[tuple[str, float]]:
    """Piecewise-linear shares of three key shapes at 0, .5 and 1."""
    return [
        (low, max(0.0, 1 - 2 * value)),
        (middle, 1 - abs(2 * value - 1)),
        (high, max(0.0, 2 * value - 1)),
    ]
