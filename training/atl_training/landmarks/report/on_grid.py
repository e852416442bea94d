"""Held-out film of a real speaker: the mouth that a portrait gets from the sound against the one that was filmed.

The portrait is the clip's face at rest (`fit.closed_neutral`, which training's targets are fitted over), or its first frame,
as in `ways.Clip`, whatever the mouth does in it. The tracked landmarks are levelled onto it frame by frame, so that
only face motion is compared; what they tremble stays in the truth.
"""
import numpy as np
from tqdm import tqdm

from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import SPEECH, eye_distance
from atl_landmark_node.face_model import PortraitFace
from atl_training.corpus.recordings import make_decoder
from atl_training.figures import summed, with_interval
from atl_training.landmarks.fit import closed_neutral, fit_speech_weights, level_to
from atl_training.landmarks.judge import energy_jaw
from atl_training.landmarks.report.baselines import aligned_phonemes, nearest_viseme
from atl_training.landmarks.report.clips import Stage
from atl_training.landmarks.report.closures import closures
from atl_training.landmarks.report.figures import of_motion, signed_gap
from atl_training.landmarks.report.on_draft import Driver
from atl_training.shards import Sample

STYLE = "real"
PORTRAITS = {"face at rest": closed_neutral, "first frame": lambda landmarks: landmarks[0]}


def on_grid(stage: Stage, samples: list[Sample], others: dict[str, Driver]) -> dict:
    """Rows of figures for each of PORTRAITS; `below_mean_motion`, by how many % the M-LMD of a row is lower than that of the mean
    motion."""
    decoder = make_decoder()
    said = [_said(sample, decoder) for sample in tqdm(samples, desc="GRID, aligned")]
    result = {"clips": len(samples), "aligned": sum(phonemes is not None for phonemes, _ in said)}
    for name, portrait in PORTRAITS.items():
        films = [_Film(sample, portrait, *names) for sample, names in zip(samples, said, strict=True)]
        result[name] = _rows(stage, films, others)
    return result


def _rows(stage: Stage, films: list["_Film"], others: dict[str, Driver]) -> dict:
    drawn = {
        "ground truth": [film.real for film in films],
        "fitted weights": [film.face(fit_speech_weights(film.landmarks, film.neutral)) for film in tqdm(films, desc="fit")],
        "ours": [film.face(stage.spoken(film.sound, STYLE)) for film in tqdm(films, desc="ours")],
    }
    for name, driver in others.items():
        drawn[name] = [driver(film.sound, STYLE, film.neutral)[: len(film.real)] for film in tqdm(films, desc=name)]
    mean = np.mean(np.concatenate([film.moved for film in films]), axis=0)
    drawn |= {
        "nearest viseme": [film.face(nearest_viseme(film.visemes)) if film.aligned else None for film in films],
        "energy jaw": [film.face(energy_jaw(film.sound, len(film.real))) for film in films],
        "mean motion": [film.with_motion(mean) for film in films],
    }
    rows = {name: _figures(films, points) for name, points in drawn.items()}
    most = rows["mean motion"]["m_lmd"][0]
    for row in rows.values():
        error = row["m_lmd"][0]
        row["below_mean_motion"] = None if error is None else round(100 * (1 - error / most), 1)
    return rows


def _said(sample: Sample, decoder) -> tuple[np.ndarray | None, np.ndarray | None]:
    return aligned_phonemes(decoder, sample, _length(sample)) or (None, None)


def _length(sample: Sample) -> int:
    return min(len(sample.arrays["landmarks"]), len(sample.audio) // FRAME_SAMPLES)


class _Film:
    """A clip with its truth levelled onto its portrait; phonemes and visemes (T,) where they could be aligned."""

    def __init__(self, sample: Sample, portrait, phonemes: np.ndarray | None, visemes: np.ndarray | None):
        count = _length(sample)
        self.landmarks = sample.arrays["landmarks"][:count].astype(np.float64)
        self.sound = sample.audio[: count * FRAME_SAMPLES]
        self.neutral = portrait(self.landmarks)
        self._face, self._eyes = PortraitFace(self.neutral), float(eye_distance(self.neutral))
        self.real = np.stack([level_to(self.neutral, points) for points in self.landmarks])
        self.moved = (self.real - self.neutral) / self._eyes  # (T, 68, 3) eye distances
        self.phonemes, self.visemes, self.aligned = phonemes, visemes, phonemes is not None

    def face(self, weights: np.ndarray) -> np.ndarray:
        """The portrait's landmarks for speech weights (T, n), its head as in the portrait."""
        full = np.zeros((len(self.real), 52))
        full[:, SPEECH] = weights[: len(full)]
        return np.stack([self._face.points(row) for row in full])

    def with_motion(self, moved: np.ndarray) -> np.ndarray:
        """The portrait's landmarks, always moved by the same (68, 3) eye distances."""
        return np.repeat((self.neutral + self._eyes * moved)[None], len(self.real), axis=0)


def _figures(films: list[_Film], drawn: list[np.ndarray | None]) -> dict:
    """Figures of one row; clips that it lacks are left out."""
    pairs = [(film, points) for film, points in zip(films, drawn, strict=True) if points is not None]
    if not pairs:
        return {"m_lmd": with_interval([])}
    figures = summed([of_motion(film.real, points) for film, points in pairs])
    told = [(film, points) for film, points in pairs if film.aligned]
    if told:
        true, made = [signed_gap(film.real) for film, _ in told], [signed_gap(points) for _, points in told]
        figures["closures"] = closures(true, made, [film.phonemes for film, _ in told])
    return figures
