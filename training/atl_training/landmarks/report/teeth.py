"""Does the lower lip come to the upper teeth for /f v/? Judged on a head of the corpus, whose lips and teeth are solid.

The head's upper teeth stand back: even its own pose of /f/ leaves millimetres. So a distance is held against the truth's in
the same frame, not against contact.
"""
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from atl_face.topology import SPEECH
from atl_training.corpus.assets import UNITS, UPPER_TEETH, Assets, find_makehuman
from atl_training.corpus.head import UNIT, Head, HeadKit
from atl_training.corpus.identity import random_identity
from atl_training.corpus.visemes import CHANNELS, VISEMES

WITHIN_MM = 1.0  # farther from the teeth than the truth; a lip at rest is 2.5 mm farther than in the pose of /f/
PATCH = 12  # vertices of the lower lip that the pose of /f/ brings nearest to the teeth
TEETH = "Teeth_Base"
_LIP_SHARE = 0.4  # of the largest motion that mouthRollLower gives: from there on it's the lower lip
_HALF_WIDTH_DM = 0.18  # of the mouth's middle: where the incisors are
_MM = 100.0  # in a dm


class Teeth:
    """An average head's lower lip and upper teeth.

    Raises:
        UserError: the free head assets aren't there.
    """

    def __init__(self, cache: Path):
        assets = Assets(find_makehuman(), cache)
        person = random_identity(assets, np.random.default_rng(0), "average", detail=0.0, ancestry=(1 / 3, 1 / 3, 1 / 3),
                                 male=0.5, age=30, weight=0.5)  # fmt: skip
        head = Head(HeadKit(assets), person, hair=None, brow="eyebrow001", lashes="Eyelashes01", teeth=TEETH)
        upper = assets.proxy(f"teeth/{TEETH}/{TEETH}.json").refs[:, 0] >= UPPER_TEETH.start
        self._teeth = cKDTree(head.v0[head.part_slice("teeth")][upper])
        units = np.zeros((len(UNITS), len(head.v0), 3), np.float32)
        units[:, head.moving] = head.units.reshape(len(UNITS), -1, 3)
        rolled = np.linalg.norm(units[UNIT["mouthRollLower"]], axis=-1)
        lip = np.flatnonzero((rolled > _LIP_SHARE * rolled.max()) & (np.abs(head.v0[:, 0]) < _HALF_WIDTH_DM))
        pose = np.zeros(len(UNITS))
        for channel, (amount, _) in VISEMES["FF"].items():
            pose[[UNIT[name] for name in CHANNELS[channel]]] = amount
        near = np.argsort(self._teeth.query(head.v0[lip] + np.tensordot(pose, units[:, lip], 1))[0])[:PATCH]
        self._rest, self._units = head.v0[lip[near]], units[SPEECH][:, lip[near]]

    def distances(self, weights: np.ndarray) -> np.ndarray:
        """Mean distance (T,) of the lower lip's patch from the nearest upper tooth, mm, for speech weights (T, n)."""
        return _MM * self._teeth.query(self._rest + np.tensordot(weights, self._units, 1))[0].mean(1)


def to_teeth(teeth: Teeth, true: list[np.ndarray], made: list[np.ndarray], phonemes: list[np.ndarray]) -> dict[str, float]:
    """Figures of /f v/ over all clips: `reached`, % of their frames in which the lip is at most WITHIN_MM farther from the teeth
    than the truth; `mm` and `true_mm`, mean distances; `frames`."""
    where = np.isin(np.concatenate(phonemes), ("f", "v"))
    a, b = (teeth.distances(np.concatenate(weights)[where]) for weights in (true, made))
    if not len(a):
        return {"reached": None, "mm": None, "true_mm": None, "frames": 0}
    return {"reached": round(100 * float(np.mean(b <= a + WITHIN_MM)), 2), "mm": round(float(b.mean()), 2),
            "true_mm": round(float(a.mean()), 2), "frames": len(a)}  # fmt: skip
