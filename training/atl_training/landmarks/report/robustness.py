"""A mouth that doesn't flap to what is no speech, and goes on speaking when speech is hard to hear."""
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_evaluation.metrics.motion import correlation, landmark_distance
from atl_evaluation.metrics.statistics import mean_of
from atl_face.errors import UserError
from atl_face.media import read_audio
from atl_face.stream import FRAME_RATE, SAMPLE_RATE
from atl_face.topology import lip_gap
from atl_training.corpus.speech import at_level
from atl_training.figures import rounded, spread, with_interval
from atl_training.landmarks.judge import points_of
from atl_training.landmarks.report.clips import DraftClip, Stage
from atl_training.landmarks.report.sounds import disturbances, no_speech
from atl_training.splits import held_out

REAL_VOICES = ("real/lj", "real/reader_m")  # readers whose recordings the corpus has; GRID's man is judged by film
LONGEST_S = 10.0  # of a recording: more tells nothing new
SETTLED_S = 1.0  # after the beginning of a sound; many voices that begin at once are taken for one, for about half of that
SUFFIXES = (".flac", ".wav")


def read_speech(folder: Path, most: int) -> list[np.ndarray]:
    """Held-out recordings (n,) of a folder: a tenth of its files, by name (`splits.held_out`), as the corpus holds them out."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and held_out(path.stem))
    if not files:
        raise UserError(f"No sound of {folder} is held out: give a folder with more .flac or .wav files.")
    return [read_audio(path)[: round(LONGEST_S * SAMPLE_RATE)] for path in spread(files, most)]


def robustness(stage: Stage, clips: list[DraftClip], recordings: list[np.ndarray], most: int, seed: int = 0) -> dict:
    """`no_speech`: the lip gap's standard deviation as % of that on speech; `speech`: how far a disturbance takes the mouth.

    Args:
        clips: held-out clips with truth; those of REAL_VOICES are taken, at most so many; any where there are none.
        recordings: held-out recordings without truth.
    """
    rng = np.random.default_rng(seed)
    real = [clip for clip in clips if clip.voice in REAL_VOICES]
    if not real:
        print(f"No held-out clip has one of the voices {', '.join(REAL_VOICES)}: synthetic ones are disturbed.", file=sys.stderr)
    chosen = spread(real or clips, most)
    others = [clip.sound for clip in clips if clip.voice not in REAL_VOICES]
    speech = [(at_level(clip.sound), clip.style, points_of(clip.weights)) for clip in chosen]
    speech += [(at_level(sound), None, None) for sound in recordings]
    clean = [points_of(stage.spoken(sound, style)) for sound, style, _ in tqdm(speech, desc="clean")]
    usual = float(np.mean([lip_gap(points).std() for points in clean]))
    talkers = others if len(others) > 1 else [sound for sound, *_ in speech]
    return {"sounds": len(speech), "clips_with_truth": len(chosen), "gap_deviation_on_speech": rounded(usual, 4),
            "no_speech": {name: _flapping(stage, takes, usual) for name, takes in tqdm(no_speech(rng, talkers).items())},
            "speech": {name: _disturbed(stage, speech, clean, change)
                       for name, change in tqdm(disturbances(rng, talkers).items())}}  # fmt: skip


def _flapping(stage: Stage, takes: list[np.ndarray], usual: float) -> dict:
    """`of_speech`: % of the usual deviation, in the worst take; `mean`: of all; `settled`: the worst from SETTLED_S on, when the
    network knows what it hears; `widest`: % of the eye distance."""
    gaps = [lip_gap(points_of(stage.spoken(sound))) for sound in takes]
    settled = [gap[round(SETTLED_S * FRAME_RATE):] for gap in gaps]
    return {"of_speech": rounded(100 * np.max([gap.std() for gap in gaps]) / usual, 1),
            "mean": rounded(100 * np.mean([gap.std() for gap in gaps]) / usual, 1),
            "settled": rounded(100 * np.max([gap.std() for gap in settled]) / usual, 1),
            "widest": rounded(100 * np.max([gap.max() for gap in gaps]), 2),
            "finite": all(bool(np.isfinite(gap).all()) for gap in gaps)}  # fmt: skip


def _disturbed(stage: Stage, speech: list[tuple], clean: list[np.ndarray], change) -> dict:
    """Against the undisturbed run: `gap_r`, `distance` (% of the eye distance), `amplitude`; against the truth, where it is
    known: `m_lmd_change`, percentage points."""
    rows, changes, finite = [], [], True
    for (sound, style, truth), before in zip(speech, clean, strict=True):
        points = points_of(stage.spoken(change(sound), style))
        finite = finite and bool(np.isfinite(points).all())
        a, b = lip_gap(before), lip_gap(points)
        rows.append((correlation(a, b), float(landmark_distance(before, points, align=False).mean()), b.std() / a.std()))
        if truth is not None:
            errors = [landmark_distance(truth, made, align=False).mean() for made in (before, points)]
            changes.append(float(errors[1] - errors[0]))
    gap_r, distance, amplitude = zip(*rows, strict=True)
    return {"gap_r": with_interval(gap_r), "distance": with_interval(distance), "amplitude": rounded(mean_of(amplitude), 3),
            "m_lmd_change": with_interval(changes), "finite": finite}  # fmt: skip
