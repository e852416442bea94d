"""A random person: sex, age, ancestry, weight, and many small facial proportions, on MakeHuman's base mesh."""

import re
from dataclasses import dataclass, field

import numpy as np

from atl_training.corpus.assets import Assets

ANCESTRIES = ("african", "asian", "caucasian")
_OPPOSITES = {
    "decr": -1, "incr": 1, "in": -1, "out": 1, "down": -1, "up": 1, "backward": -1, "forward": 1,
    "compress": -1, "uncompress": 1, "concave": -1, "convex": 1,
}  # fmt: skip
_AXIS = {"in": "-io", "out": "-io", "down": "-du", "up": "-du", "backward": "-bf", "forward": "-bf"}
_LOCAL = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek")
# Lateral shifts, tilted heads and septum targets make monsters, not people.
_SKIPPED = ("mouth/mouth-trans-io", "nose/nose-trans-io", "head/head-trans", "head/head-angle", "nose/nose-septum")


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


def sliders_of(assets: Assets) -> dict[str, dict[int, list[str]]]:
    """Group the local targets into bipolar sliders: name -> {-1 | 0 | 1: target names}. Left and right move together."""
    sliders: dict[str, dict[int, list[str]]] = {}
    for name in assets.targets:
        folder, base = name.split("/")
        if folder not in _LOCAL:
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
    detail: float = 0.30,
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
    age = float(age if age is not None else rng.uniform(20, 80))
    muscle = float(np.clip(rng.normal(0.5, 0.15), 0, 1))
    weight = float(weight if weight is not None else np.clip(rng.normal(0.5, 0.18), 0.05, 0.95))
    vertices = assets.mesh.vertices.copy()

    def add(target: str, amount: float) -> None:
        if abs(amount) > 1e-4 and target in assets.targets:
            ids, offsets = assets.targets[target]
            vertices[ids] += amount * offsets

    old = float(np.clip((age - 25) / (85 - 25), 0, 1))
    for sex, sex_share in (("male", male), ("female", 1 - male)):
        for life, life_share in (("young", 1 - old), ("old", old)):
            for group, group_share in zip(ANCESTRIES, shares, strict=True):
                add(f"macrodetails/{group}-{sex}-{life}", group_share * sex_share * life_share)
            for build, build_share in _tent(muscle, "minmuscle", "averagemuscle", "maxmuscle"):
                for mass, mass_share in _tent(weight, "minweight", "averageweight", "maxweight"):
                    target = f"macrodetails/universal-{sex}-{life}-{build}-{mass}"
                    add(target, sex_share * life_share * build_share * mass_share)
    values = {}
    for key, sides in sliders_of(assets).items():
        if key.startswith(_SKIPPED):
            continue
        values[key] = _slider_value(key, sides, rng, detail)
        sign = 0 if 0 in sides else (1 if values[key] > 0 else -1)
        for target in sides.get(sign, []):
            add(target, abs(values[key]))
    for target in assets.targets:  # nobody is symmetric
        if target.startswith("asym/") and "asymm" not in target and rng.random() < 0.3:
            add(target, abs(rng.normal(0, 0.22)))
    return Identity(name, vertices, shares, male, age, weight, muscle, values)


def _slider_value(key: str, sides: dict, rng: np.random.Generator, detail: float) -> float:
    if 0 in sides:  # head shapes and the like: mostly absent
        return float(min(max(0.0, rng.normal(0, detail * 0.7)), 0.8)) if rng.random() < 0.3 else 0.0
    value = float(np.clip(rng.normal(0, detail), -0.9, 0.9))
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
