"""Real motion: a tracked face's mouth, brows, blinks and head pose as ARKit weights, to be replayed on other heads.

    atl-corpus motions --shards grid_shards --out motions

Rules alone teach a network the rules. `landmarks/fit.py` explains mouth and jaw; here brows, lids and the head's pose join.
"""
import argparse
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from atl_face.errors import UserError
from atl_face.topology import (
    ARKIT_52,
    LEFT_OUTER_CANTHUS,
    RIGHT_OUTER_CANTHUS,
    SPEECH,
    WEIGHT,
    eye_distance,
    eye_openness,
    lip_gap,
)
from atl_landmark_node.face_model import RIGID, PortraitFace, rigid_fit
from atl_training.corpus.rotation import angles_of
from atl_training.landmarks.fit import closed_neutral, fit_speech_weights, fit_weights, level_to
from atl_training.shards import read_shards

BROWS = np.array([WEIGHT[n] for n in ARKIT_52 if n.startswith("brow")])
BROW_POINTS = np.arange(17, 27)
JITTER_FRAMES = 1.2  # a tracker's pose and brows tremble; heads and brows move slower than this
OPEN_PERCENTILE = 80  # of the eye's openness over a clip: how open it is between blinks
SHUT_GAP, OPEN_GAP = 0.020, 0.045  # lip gaps (eye distances) at which tracked lips count as shut, and surely as open


@dataclass
class Motion:
    """Motion of T frames: weights (T, 52), rotation (T, 3) rad as in `rotation.py`, translation (T, 3) eye distances, shut (T,)
    0..1: how firmly the lips are closed."""

    weights: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    shut: np.ndarray


def fit_motion(landmarks: np.ndarray) -> Motion:
    """The motion of tracked landmarks (T, 68, 3) over their own closed neutral face, any unit."""
    landmarks = landmarks.astype(np.float64)
    neutral = closed_neutral(landmarks)
    weights = np.zeros((len(landmarks), len(ARKIT_52)))
    weights[:, SPEECH] = fit_speech_weights(landmarks, neutral)
    level = np.stack([level_to(neutral, frame) for frame in landmarks])
    level = gaussian_filter1d(level, JITTER_FRAMES, axis=0)
    weights[:, BROWS] = fit_weights(level - neutral, PortraitFace(neutral), BROWS, BROW_POINTS)
    for side, openness in zip(("Left", "Right"), eye_openness(landmarks), strict=True):
        usual = np.percentile(openness, OPEN_PERCENTILE)
        weights[:, WEIGHT[f"eyeBlink{side}"]] = np.clip(1.15 * (1 - openness / usual) - 0.1, 0, 1)
    turns = np.stack([rigid_fit(neutral[RIGID], frame[RIGID]) for frame in landmarks])
    rotation = gaussian_filter1d(angles_of(turns), JITTER_FRAMES, axis=0)
    middle = landmarks[:, [RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS]].mean(1)
    away = (middle - middle[lip_gap(landmarks).argmin()]) / eye_distance(neutral)
    away[:, 2] = 0  # the tracker's depth has no fixed origin
    shut = np.clip((OPEN_GAP - lip_gap(landmarks)) / (OPEN_GAP - SHUT_GAP), 0, 1)
    return Motion(weights, rotation, gaussian_filter1d(away, JITTER_FRAMES, axis=0), shut)


class Motions:
    """A folder of fitted motions, by data set, speaker and clip, as grid_s1_bbaf2n."""

    def __init__(self, folder: Path):
        self._files = {path.stem: path for path in sorted(Path(folder).glob("*.npz")) if not path.stem.endswith(".part")}
        if not self._files:
            raise UserError(f"{folder} holds no motions: make them with `atl-corpus motions`.")

    @property
    def names(self) -> list[str]:
        return list(self._files)

    def get(self, name: str) -> Motion | None:
        """The motion of a recording, if it was filmed."""
        if name not in self._files:
            return None
        with np.load(self._files[name]) as kept:
            return Motion(**{field.name: kept[field.name].astype(np.float64) for field in fields(Motion)})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="loaded real video (`atl-corpus load`)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the motions")


def run(options: argparse.Namespace) -> None:
    """Raises UserError: the shards hold clips that were never filmed."""
    options.out.mkdir(parents=True, exist_ok=True)
    for sample in tqdm(read_shards(options.shards), unit="clip"):
        if sample.facts["kind"] != "recorded":
            raise UserError(f"{sample.key} was rendered, and rules moved it: give shards that `atl-corpus load` wrote.")
        path = options.out / f"{sample.facts['dataset']}_{sample.key}.npz"
        if path.exists():
            continue
        motion = fit_motion(sample.arrays["landmarks"])
        partial = path.with_suffix(".part.npz")
        arrays = {field.name: getattr(motion, field.name).astype(np.float32) for field in fields(Motion)}
        np.savez_compressed(partial, **arrays)
        partial.replace(path)
