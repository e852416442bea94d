"""Figures of a landmark network on held-out utterances, with ground truth and baselines in the same units.

    python -m atl_training.landmarks.judge --weights old.safetensors new.safetensors --shards DIR... --out judged.json
"""
import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atl_evaluation.metrics.motion import MAX_LAG, best_lag, correlation, gap_amplitude, landmark_distance
from atl_evaluation.metrics.statistics import mean_of
from atl_face.stream import FRAME_RATE, FRAME_SAMPLES
from atl_face.topology import SPEECH, SPEECH_WEIGHTS, lip_gap
from atl_landmark_node.face_model import load_basis
from atl_landmark_node.model import STYLES
from atl_training.figures import spread
from atl_training.landmarks.data import Utterance, load_shards
from atl_training.tool import run_tool

_BASIS, _NEUTRAL = load_basis()
WIDEST = 0.25  # jawOpen of the energy-driven jaw in the clip's loudest frame


def points_of(weights: np.ndarray) -> np.ndarray:
    """Landmarks (T, 68, 3) of speech weights (T, n) on the average face, eye distances."""
    return _NEUTRAL + np.tensordot(weights, _BASIS[SPEECH], 1)


def energy_jaw(sound: np.ndarray, frames: int) -> np.ndarray:
    """The trivial baseline: the jaw follows the loudness of the frame. Speech weights (T, n) of sound (n,) at 16 kHz."""
    padded = np.pad(sound.astype(np.float32), (0, FRAME_SAMPLES))[: frames * FRAME_SAMPLES]
    level = np.sqrt(np.mean(padded.reshape(frames, -1) ** 2, axis=1))
    weights = np.zeros((frames, len(SPEECH_WEIGHTS)))
    weights[:, SPEECH_WEIGHTS.index("jawOpen")] = WIDEST * level / max(level.max(), 1e-6)
    return weights


def judge(displacement: Callable[[Utterance], np.ndarray], held: list[Utterance], most: int = 120) -> dict:
    """Per style: lip-gap correlation, amplitude ratio, best lag (ms), M-LMD (% of the eye distance); beside the network the
    energy-driven jaw and the mean face. Clips in which nothing is said have no lip gap to follow: left out.

    Args:
        displacement: an utterance -> what the network moves the average face by, (T, 68, 3) eye distances.
        most: clips of a style at most, evenly from all of them: they lie in the order of people; 0: all.
    """
    result = {}
    for index, style in enumerate(STYLES):
        spoken = [u for u in held if u.style == index and len(u.weights) > 2 * MAX_LAG + 10 and u.speaking.any()]
        chosen = spread(spoken, most)
        if not chosen:
            continue
        mean = np.mean([u.weights.mean(0) for u in chosen], axis=0)
        made = {"net": [_NEUTRAL + displacement(u) for u in chosen],
                "energy jaw": [points_of(energy_jaw(u.sound, len(u.weights))) for u in chosen],
                "mean": [points_of(np.tile(mean, (len(u.weights), 1))) for u in chosen]}  # fmt: skip
        result[style] = {"utterances": len(chosen)} | {k: _figures(chosen, v) for k, v in made.items()}
    return result


def score(figures: dict) -> float:
    """One number of `judge`'s figures for early stopping, less is better: 1 - r and M-LMD over the mean face's, averaged."""
    return float(np.mean([1 - np.nan_to_num(rows["net"]["gap_r"]) + rows["net"]["m_lmd_percent"] / rows["mean"]["m_lmd_percent"]
                          for rows in figures.values()]))  # fmt: skip


def _figures(utterances: list[Utterance], made: list[np.ndarray]) -> dict:
    correlations, ratios, lags, distances = [], [], [], []
    for utterance, fake in zip(utterances, made, strict=True):
        real = points_of(utterance.weights)
        a, b = lip_gap(real), lip_gap(fake)
        correlations.append(correlation(a, b))
        lags.append(best_lag(a, b)[0])
        ratios.append(gap_amplitude(a, b))
        distances.append(landmark_distance(real, fake, align=False).mean())  # weights alone: there is no pose to take out
    return {"gap_r": round(mean_of(correlations), 3), "gap_amplitude": round(mean_of(ratios), 2),
            "lag_ms": float(np.round(1000 * mean_of(lags) / FRAME_RATE)),
            "m_lmd_percent": round(float(np.mean(distances)), 3)}  # fmt: skip


def main() -> None:
    from atl_training.landmarks.models import load_trainee

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="networks to compare (safetensors)")
    parser.add_argument("--encoder-weights", type=Path, metavar="DIR", help="of networks that hear wav2vec2")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="their held-out clips are judged")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    trainees = {str(path): load_trainee(path, arguments.encoder_weights) for path in arguments.weights}
    held = [utterance for utterance in load_shards(arguments.shards) if utterance.held]
    result = {path: judge(trainee.displacement, held) for path, trainee in trainees.items()}
    arguments.out.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_tool(main)
