"""Portraits to start from: the person of a clip before its camera, smiling with teeth or with the mouth ajar.

People smile in their portraits. A renderer that has seen speech alone smears such a mouth when it has to shut it.
"""

import numpy as np

from atl_training.corpus.assets import UNITS
from atl_training.corpus.head import UNIT, Head
from atl_training.corpus.motion import Performance

STILLS = 4  # per clip
SMILING_SHARE = 0.75  # the others only part their lips
GAP = (0.04, 0.22)  # inner lips in eye distances: about what toothy smiles in official portraits show


def pose_stills(rng: np.random.Generator, head: Head, count: int = STILLS) -> Performance:
    """`count` independent poses: smiles that show the teeth, and mouths ajar; heads turned a little, eyes ahead."""
    weights = np.zeros((count, len(UNITS)))

    def both(row: int, name: str, value: float) -> None:
        for side in ("Left", "Right"):
            weights[row, UNIT[name + side]] = value * rng.uniform(0.85, 1.15)

    for row in range(count):
        if rng.random() < SMILING_SHARE:
            smile = rng.uniform(0.4, 0.95)
            both(row, "mouthSmile", smile)
            both(row, "cheekSquint", 0.7 * smile)
            both(row, "eyeSquint", rng.uniform(0, 0.4) * smile)
            both(row, "mouthUpperUp", rng.uniform(0.3, 0.95))
            both(row, "mouthLowerDown", rng.uniform(0.1, 0.7))
            both(row, "mouthStretch", rng.uniform(0, 0.3))
            both(row, "mouthDimple", rng.uniform(0, 0.3))
        else:
            both(row, "mouthUpperUp", rng.uniform(0, 0.3))
        lack = rng.uniform(*GAP) * head.eye_distance() - head.lip_gaps(weights[row]).max()
        weights[row, UNIT["jawOpen"]] = max(0.0, lack / head.lip_gap_units()[UNIT["jawOpen"]].max())
        both(row, "eyeBlink", max(0.0, rng.normal(0, 0.08)))
        weights[row, UNIT["browInnerUp"]] = max(0.0, rng.normal(0, 0.15))
    rotation = np.radians(np.clip(rng.normal(0, (3.5, 5.0, 2.5), (count, 3)), -12, 12))
    weights = np.clip(weights, 0, 1)
    return Performance(weights, rotation, np.zeros((count, 3)), np.zeros((count, 2)), np.zeros_like(weights), np.ones(count),
                       np.zeros(count))  # fmt: skip
