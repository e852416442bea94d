"""Spectacle frames, made for one face: two rims before the eyes, a bridge on the nose, temples to the ears. No lenses."""
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from atl_training.corpus.assets import LANDMARK_VERTICES
from atl_training.corpus.head import Part, make_part

SHARE = 0.18  # of the people wear glasses (more of the old); fewer than in the street, for they hide what is learnt
RIM_POINTS, TUBE_POINTS = 28, 6
COLOURS = ((0.01, 0.01, 0.01), (0.05, 0.03, 0.02), (0.25, 0.2, 0.14), (0.3, 0.3, 0.32), (0.12, 0.02, 0.02), (0.02, 0.03, 0.1))


@dataclass(frozen=True)
class Glasses:
    """Sizes in eye distances (outer corners). squareness: 2 an ellipse, 5 nearly a rectangle. colour: linear RGB."""

    width: float
    height: float
    squareness: float
    thickness: float
    colour: tuple[float, float, float]


def random_glasses(rng: np.random.Generator, age: float) -> Glasses | None:
    """A pair of glasses, or none."""
    if rng.random() > SHARE * (0.5 if age < 14 else 1.6 if age > 50 else 1.0):
        return None
    return Glasses(
        width=float(rng.uniform(0.50, 0.58)),
        height=float(rng.uniform(0.34, 0.46)),
        squareness=float(rng.uniform(2.0, 4.5)),
        thickness=float(rng.choice([0.010, 0.016, 0.026])),
        colour=COLOURS[int(rng.integers(len(COLOURS)))],
    )


def glasses_part(glasses: Glasses, base: np.ndarray) -> Part:
    """The frame as a mesh part that rides on the skull.

    Args:
        base: (V, 3) the identity's mesh at rest, dm.
    """
    points = base[LANDMARK_VERTICES]
    unit = float(np.linalg.norm(points[45] - points[36]))
    front = float(max(points[17:27, 2].max(), points[27, 2])) + 0.05 * unit  # clear of brows and lashes
    angle = np.linspace(0, 2 * np.pi, RIM_POINTS, endpoint=False)
    power = 2 / glasses.squareness
    ring = np.stack([_signed_power(np.cos(angle), power) * glasses.width / 2,
                     _signed_power(np.sin(angle), power) * glasses.height / 2], 1) * unit  # fmt: skip
    thick = glasses.thickness * unit
    tubes, outer, inner = [], [], []
    for eye in (slice(36, 42), slice(42, 48)):
        middle = points[eye].mean(0)
        side = np.sign(middle[0])
        x, y = (ring + [middle[0] + side * 0.01 * unit, middle[1] - 0.03 * unit]).T
        bow = front - 0.22 * unit * np.clip(np.abs(x) / unit - 0.1, 0, 1) ** 2  # frames follow the forehead's curve
        tubes.append(_tube(np.stack([x, y, bow], 1), thick, closed=True))
        inner.append(float((side * x).min()))
        edge = int(np.argmax(side * x))
        outer.append((np.array([x[edge], y[edge] + 0.06 * unit, bow[edge]]), side))
    y = float(points[36:48, 1].mean()) + 0.03 * unit
    arch = np.linspace(-1, 1, 7)
    bridge = np.stack([arch * max(inner) * 1.05, y + 0.03 * unit * (1 - arch**2), 0 * arch + front], 1)
    tubes.append(_tube(bridge, thick, closed=False))
    for start, side in outer:
        far = np.array([side * 0.80 * unit, start[1] + 0.02 * unit, start[2] - 1.35 * unit])
        hinge = np.array([start[0] + side * 0.05 * unit, start[1], start[2] - 0.06 * unit])
        tubes.append(_tube(np.stack([start, hinge, (hinge + far) / 2 + [side * 0.02 * unit, 0, 0], far]), thick, closed=False))
    vertices = np.concatenate([tube for tube, _ in tubes])
    starts = np.cumsum([0] + [len(tube) for tube, _ in tubes])
    faces = np.concatenate([quads + at for (_, quads), at in zip(tubes, starts, strict=False)])
    empty = sparse.csr_matrix((len(vertices), len(base)))
    return make_part("glasses", empty, vertices, faces, np.zeros_like(faces), np.zeros((1, 2)))


def _signed_power(values: np.ndarray, power: float) -> np.ndarray:
    return np.sign(values) * np.abs(values) ** power


def _tube(path: np.ndarray, thickness: float, *, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """A tube along a path (n, 3): vertices (n * TUBE_POINTS, 3) and quads."""
    count = len(path)
    along = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, [0.02, 0.03, 1.0])
    weak = np.linalg.norm(across, axis=1) < 0.3  # the temples run along z
    across[weak] = np.cross(along[weak], [0, 1, 0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    third = np.cross(along, across)
    turn = np.linspace(0, 2 * np.pi, TUBE_POINTS, endpoint=False)
    ring = across[:, None] * np.cos(turn)[:, None] + third[:, None] * np.sin(turn)[:, None]
    vertices = (path[:, None] + thickness * ring).reshape(-1, 3)
    k, j = np.mgrid[0 : count if closed else count - 1, 0:TUBE_POINTS].reshape(2, -1)
    right, up = (k + 1) % count, (j + 1) % TUBE_POINTS
    at = [k * TUBE_POINTS + j, right * TUBE_POINTS + j, right * TUBE_POINTS + up, k * TUBE_POINTS + up]
    return vertices, np.stack(at, 1)
