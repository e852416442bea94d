"""Figures of motion, from landmarks of every frame: how a face that was drawn moves against the true one, and by itself.

Landmarks are (T, 68, 2|3), any unit, x and y used; a frame in which no face was seen is NaN and is left out of every
figure (`frames` tells how many were left in). Distances are in % of the true eye distance (outer corners) of the frame.
"""
import numpy as np

from atl_evaluation.metrics.statistics import mean_of
from atl_face.stream import FRAME_RATE
from atl_face.topology import MOUTH, eye_distance, eye_openness, lip_gap
from atl_landmark_node.face_model import RIGID

FACE = slice(0, 68)
MAX_LAG = 3  # frames, 120 ms: syllables come every 200 to 250 ms, and further away a gap matches its neighbours
FLAT = 1e-5  # eye distances, a thousandth of a pixel: a standard deviation below this is no motion
BLINK_SHARE = 0.5  # eyes open less than this share of their median count as a blink


def compare(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Every figure of a clip's motion against the truth's, by the catalogue's names, and `frames`: those seen in both."""
    figures = {}
    for name, part in (("m", MOUTH), ("f", FACE)):
        figures[f"{name}_lmd"] = mean_of(landmark_distance(real, made, part))
        figures[f"{name}_lvd"] = mean_of(velocity_distance(real, made, part))
    frames = int(np.sum(_seen(real) & _seen(made)))
    return figures | follows(lip_gap(real), lip_gap(made)) | {"frames": frames}


def alone(points: np.ndarray, frame_rate: float = FRAME_RATE) -> dict[str, float]:
    """Figures of a clip's motion that need no truth, by the catalogue's names, and `frames`: those with a face."""
    return {"jerk": jerk(points, frame_rate), "blink_rate": blink_rate(points, frame_rate),
            "face_found": float(100 * _seen(points).mean()), "frames": int(_seen(points).sum())}  # fmt: skip


def aligned(points: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The points (T, 68, 2) put onto the true ones, frame by frame, by the similarity (turn, scale, shift) in the picture
    plane that brings the points that speech leaves alone (RIGID) closest, in least squares."""
    z, w = (p[..., 0] + 1j * p[..., 1] for p in (np.asarray(points, np.float64), np.asarray(real, np.float64)))
    middle_z, middle_w = z[:, RIGID].mean(1, keepdims=True), w[:, RIGID].mean(1, keepdims=True)
    z, rigid_w = z - middle_z, w[:, RIGID] - middle_w
    with np.errstate(invalid="ignore"):  # a frame without a face is NaN, and stays so
        turn = np.sum(np.conj(z[:, RIGID]) * rigid_w, 1, keepdims=True) / np.sum(np.abs(z[:, RIGID]) ** 2, 1, keepdims=True)
        moved = turn * z + middle_w
    return np.stack([moved.real, moved.imag], axis=-1)


def landmark_distance(real: np.ndarray, made: np.ndarray, part: slice = MOUTH, align: bool = True) -> np.ndarray:
    """Mean distance of a part's points from the true ones by frame, (T,) % of the eye distance.

    align: take out where the head is and how it leans (`aligned`) first. The default, because a sound does not tell how a head is
    held: a method that moves it in its own way would be judged by that alone. Turns in depth stay in. Without it the figure is of
    everything, for frames that are to have the true pose. Chen et al., "Lip Movements Generation at a Glance", 2018, take
    out the mean of the lips' points instead, which also forgives a mouth in the wrong place of the face.
    """
    return _lengths(_offsets(real, made, part, align), real)


def velocity_distance(real: np.ndarray, made: np.ndarray, part: slice = MOUTH, align: bool = True) -> np.ndarray:
    """Mean distance of a part's steps from frame to frame from the true steps, (T - 1,) % of the eye distance a frame.

    Landmark velocity difference (LVD) of Ji et al., "Audio-Driven Emotional Video Portraits", 2021. align: as above.
    """
    return _lengths(np.diff(_offsets(real, made, part, align), axis=0), real[1:])


def follows(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """How a lip gap (T,) follows the true one: `gap_correlation`, `gap_amplitude`, `gap_lag` (frames)."""
    return {"gap_correlation": correlation(real, made), "gap_amplitude": gap_amplitude(real, made),
            "gap_lag": best_lag(real, made)[0]}  # fmt: skip


def correlation(real: np.ndarray, made: np.ndarray) -> float:
    """Pearson's correlation of a made signal (T,) with the true one, where both are finite.

    0 if the made one never moves; NaN if the true one never does, as in silence, or with fewer than 3 frames.
    """
    real, made = _common(real, made)
    if len(real) < 3 or real.std() <= FLAT:
        return float("nan")
    return float(np.corrcoef(real, made)[0, 1]) if made.std() > FLAT else 0.0


def gap_amplitude(real: np.ndarray, made: np.ndarray) -> float:
    """Standard deviation of a lip gap (T,) over the true one's, where both are finite; NaN if the true one never moves."""
    real, made = _common(real, made)
    return float(made.std() / real.std()) if len(real) and real.std() > FLAT else float("nan")


def best_lag(real: np.ndarray, made: np.ndarray, most: int = MAX_LAG) -> tuple[float, float]:
    """Lag in whole frames (+: made is late) with the highest correlation within `most`, and that correlation.

    Where nothing correlates the lag is 0; NaN where the true one never moves or too few frames are finite.
    """
    scores = {lag: correlation(real[max(0, -lag): len(real) - max(0, lag)], made[max(0, lag): len(made) + min(0, lag)])
              for lag in range(-most, most + 1)}  # fmt: skip
    scores = {lag: score for lag, score in scores.items() if np.isfinite(score)}
    if not scores:
        return float("nan"), float("nan")
    lag = max(scores, key=lambda shift: (scores[shift], -abs(shift)))
    return lag, scores[lag]


def jerk(points: np.ndarray, frame_rate: float = FRAME_RATE) -> float:
    """Mean length of the third difference of all points' paths, eye distances per s^3; NaN without four faces in a row.

    Head motion and trembling count, so does the detector's own trembling: print the truth's, or a still picture's with noise,
    beside it. Flash and Hogan, "The coordination of arm movements", 1985, take jerk as the measure of what is not smooth.
    """
    thirds = np.linalg.norm(np.diff(points[..., :2], n=3, axis=0), axis=-1).mean(1)
    return mean_of(thirds) * frame_rate**3 / mean_of(eye_distance(points))


def blink_rate(points: np.ndarray, frame_rate: float = FRAME_RATE) -> float:
    """Blinks a minute: how often the eyes' mean openness falls below BLINK_SHARE of its median. NaN without any face.

    Openness is the eye aspect ratio of Soukupova and Cech, 2016. A blink that a lost face interrupts counts once.
    """
    openness = np.mean(eye_openness(points[_seen(points)]), axis=0)
    if not len(openness):
        return float("nan")
    shut = openness < BLINK_SHARE * np.median(openness)
    return float(np.sum(shut[1:] & ~shut[:-1]) * 60 * frame_rate / len(shut))


def _seen(points: np.ndarray) -> np.ndarray:
    """Frames with a face, bool (T,)."""
    return np.isfinite(points).all((1, 2))


def _common(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def _offsets(real: np.ndarray, made: np.ndarray, part: slice, align: bool) -> np.ndarray:
    """Made minus real, (T, n, 2)."""
    return ((aligned(made, real) if align else made[..., :2]) - real[..., :2])[:, part]


def _lengths(offsets: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Mean length of offsets (T, n, 2) by frame, % of the eye distance."""
    return 100 * np.linalg.norm(offsets, axis=-1).mean(1) / eye_distance(real)
