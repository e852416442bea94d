"""Teeth of many people from one set: each of the 32 is moved, turned, sized and shaded by itself.

The teeth proxies of MakeHuman hold every tooth as a piece of its own. Without this, hundreds of faces would share six
mouths, and a network would learn those instead of teeth.
"""
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from atl_training.corpus.meshdata import Proxy

MISSING_SHARE = 0.06  # of the people lack one tooth that a smile shows


@dataclass(frozen=True)
class Dentition:
    """What differs from the straight, white set.

    Attributes:
        width: of the arch against the proxy's, which is too wide for hm08's lips.
        drop, back: of the whole set, dm on a head of usual size.
        gums: how far they are drawn back from the teeth, dm; without, smiles show little else.
        crooked: 0 straight to 1: single teeth turned by up to about 20 degrees and out of line.
        length, worn: the teeth's height against the set's; how uneven their edges are, 0..1.
        gap: between the upper middle incisors, in tooth widths.
        missing: number of the upper tooth, counted from the middle, that isn't there; None for a full set.
        stain: 0..1, how much darker and yellower single teeth are than their neighbours.
        seed: of the single teeth's differences.
    """

    width: float = 0.92
    drop: float = 0.06
    back: float = 0.03
    gums: float = 0.0
    crooked: float = 0.0
    length: float = 1.0
    worn: float = 0.0
    gap: float = 0.0
    missing: int | None = None
    stain: float = 0.0
    seed: int = 0


def random_dentition(rng: np.random.Generator, age: float) -> Dentition:
    """Half of the people have straight teeth, the others more or less crooked ones; old teeth are worn and stained,
    children's are short and stand apart."""
    old, child = float(np.clip((age - 30) / 50, 0, 1)), age < 12
    return Dentition(
        width=float(rng.uniform(0.88, 0.95)),
        drop=float(rng.uniform(0.045, 0.08)),
        gums=float(rng.uniform(0.01, 0.045)),
        back=float(rng.uniform(0.02, 0.05)),
        crooked=float(rng.choice([0.1, 0.1, 0.5, 1.0]) * rng.uniform(0.5, 1)),
        length=float(rng.uniform(0.8, 1.0) if child else rng.uniform(0.95, 1.2) - 0.1 * old),
        worn=float(rng.uniform(0, 0.4) + 0.5 * old),
        gap=float(rng.uniform(0.1, 0.4) if rng.random() < (0.4 if child else 0.12) else 0.0),
        missing=int(rng.integers(0, 5)) if rng.random() < MISSING_SHARE else None,
        stain=float(rng.uniform(0, 0.4) + 0.6 * old * rng.random()),
        seed=int(rng.integers(2**31)),
    )


def teeth_of(proxy: Proxy) -> list[np.ndarray]:
    """Vertex rows of each tooth, the gums (the largest piece) left out."""
    count = len(proxy.refs)
    ends = proxy.faces[:, [1, 2, 3]].ravel()
    starts = np.repeat(proxy.faces[:, 0], 3)
    pieces, label = connected_components(sparse.coo_matrix((np.ones(len(ends)), (starts, ends)), (count, count)))
    gums = np.bincount(label).argmax()
    return [np.flatnonzero(label == piece) for piece in range(pieces) if piece != gums]


def arrange(dentition: Dentition, teeth: list[np.ndarray], upper: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Move the teeth of a seated set in place, and tell how bright each vertex is.

    Args:
        teeth: of `teeth_of`. upper: (n,) bool, vertices of the upper jaw.
        vertices: (n, 3) dm, changed in place.

    Returns:
        (n, 2) float32: brightness (1 is the set's), yellowness 0..1.
    """
    rng = np.random.default_rng(dentition.seed)
    shade = np.tile(np.float32([1, 0]), (len(vertices), 1))
    middles = np.array([vertices[rows].mean(0) for rows in teeth])
    is_upper = np.array([upper[rows[0]] for rows in teeth])
    front = np.argsort(np.abs(middles[:, 0]) + 10 * ~is_upper)  # upper teeth from the middle outwards
    tooth = 2 * float(np.abs(middles[front[:2], 0]).mean())  # dm: the middle incisors stand a tooth apart
    soft = np.ones(len(vertices), bool)
    soft[np.concatenate(teeth)] = False
    vertices[soft, 1] += np.where(upper[soft], dentition.gums, -dentition.gums)
    missing = None if dentition.missing is None else front[dentition.missing]
    for number, rows in enumerate(teeth):
        piece, sign = vertices[rows], 1.0 if is_upper[number] else -1.0
        root = piece[:, 1].max() if is_upper[number] else piece[:, 1].min()
        height = dentition.length * (1 + 0.10 * dentition.worn * rng.normal())
        piece = piece * [1, height, 1] + [0, (1 - height) * root, 0]
        turn = np.clip(rng.normal(0, 0.15), -0.35, 0.35) * dentition.crooked
        lean = np.clip(rng.normal(0, 0.08), -0.2, 0.2) * dentition.crooked
        centre = np.append(piece.mean(0)[[0, 2]], root)[[0, 2, 1]]
        piece = (piece - centre) @ _turned(turn, lean).T + centre
        piece += tooth * dentition.crooked * rng.normal(0, [0.03, 0.05, 0.09])
        piece[:, 0] += np.sign(middles[number, 0]) * dentition.gap * tooth / 2 * is_upper[number]
        if number == missing:
            piece = np.repeat(centre[None] + [0, sign * 0.05, -0.05], len(rows), 0)  # shrunk to a point inside the gums
        vertices[rows] = piece
        dull = dentition.stain * rng.random()
        shade[rows] = 1 - 0.3 * dull, 0.5 * dentition.stain * rng.random() + 0.15 * (number in front[4:6])
    return shade


def _turned(about_y: float, about_z: float) -> np.ndarray:
    cy, sy, cz, sz = np.cos(about_y), np.sin(about_y), np.cos(about_z), np.sin(about_z)
    return np.array([[cz * cy, -sz, cz * sy], [sz * cy, cz, sz * sy], [-sy, 0, cy]])
