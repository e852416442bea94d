"""Phonemes -> mouth weights: seventeen visemes, blended by dominance functions.

Cohen & Massaro, "Modeling coarticulation in synthetic visual speech" (1993): each segment s pulls each channel to its
target T_s with dominance D_s(t) = a_s exp(-(|t - c_s| / tau)^p); the channel is sum(D T) / sum(D).
"""

import numpy as np

from atl_training.corpus.assets import UNITS
from atl_training.corpus.phonemes import Segment

TRACK_HZ = 100
AHEAD_S, BEHIND_S = 0.075, 0.065  # lips move 75 ms ahead of a sound and let go in 65 ms
POWER = 1.3

CHANNELS = {
    "jaw": ("jawOpen",), "close": ("mouthClose",), "pucker": ("mouthPucker",), "funnel": ("mouthFunnel",),
    "press": ("mouthPressLeft", "mouthPressRight"), "roll_upper": ("mouthRollUpper",),
    "roll_lower": ("mouthRollLower",), "upper": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "lower": ("mouthLowerDownLeft", "mouthLowerDownRight"), "stretch": ("mouthStretchLeft", "mouthStretchRight"),
    "smile": ("mouthSmileLeft", "mouthSmileRight"), "shrug": ("mouthShrugLower",), "tongue_up": ("tongueUp",),
    "tongue_out": ("tongueOut",),
}  # fmt: skip
_ROW = {name: row for row, name in enumerate(CHANNELS)}

# viseme -> channel -> (target weight, dominance). A channel that is not named rests at 0 with dominance .18.
VISEMES: dict[str, dict[str, tuple[float, float]]] = {
    "sil": {"jaw": (0.0, 0.6), "pucker": (0, 0.4), "stretch": (0, 0.3), "close": (0, 0.3)},
    "PP": {"jaw": (0.03, 0.9), "press": (0.28, 3), "roll_upper": (0.12, 3), "roll_lower": (0.18, 3),
           "upper": (0, 4), "lower": (0, 4), "funnel": (0, 4)},
    "FF": {"jaw": (0.06, 1.5), "roll_lower": (0.70, 3), "upper": (0.25, 2.5), "lower": (0, 2), "shrug": (0.33, 2.5),
           "funnel": (0, 3), "pucker": (0, 0.3)},
    "TH": {"jaw": (0.14, 1.2), "tongue_up": (0.5, 2), "tongue_out": (0.38, 3), "upper": (0.14, 0.8),
           "lower": (0.15, 0.8)},
    "DD": {"jaw": (0.10, 1.0), "tongue_up": (0.8, 2), "upper": (0.13, 0.6), "lower": (0.2, 0.6), "stretch": (0.05, 0.2)},
    "nn": {"jaw": (0.12, 0.9), "tongue_up": (0.85, 2), "upper": (0.1, 0.5), "lower": (0.16, 0.5)},
    "kk": {"jaw": (0.13, 0.6), "upper": (0.12, 0.4), "lower": (0.15, 0.4)},
    "CH": {"jaw": (0.08, 1.4), "funnel": (0.42, 1.8), "pucker": (0.25, 1.2), "upper": (0.2, 1), "lower": (0.25, 1),
           "tongue_up": (0.4, 1)},
    "SS": {"jaw": (0.05, 1.6), "stretch": (0.22, 0.7), "upper": (0.18, 1), "lower": (0.32, 1), "smile": (0.08, 0.4),
           "tongue_up": (0.4, 1)},
    "RR": {"jaw": (0.11, 0.8), "pucker": (0.35, 1.2), "funnel": (0.2, 0.8), "tongue_up": (0.3, 0.8),
           "lower": (0.1, 0.4)},
    "aa": {"jaw": (0.52, 1.5), "upper": (0.18, 0.7), "lower": (0.28, 0.7), "pucker": (0, 0.6), "stretch": (0.06, 0.4),
           "tongue_up": (0, 0.5)},
    "E": {"jaw": (0.33, 1.3), "stretch": (0.22, 0.8), "upper": (0.18, 0.7), "lower": (0.26, 0.7), "smile": (0.1, 0.5),
          "pucker": (0, 0.6)},
    "I": {"jaw": (0.15, 1.1), "stretch": (0.36, 1.0), "upper": (0.18, 0.7), "lower": (0.28, 0.7), "smile": (0.18, 0.6),
          "pucker": (0, 0.9)},
    "O": {"jaw": (0.37, 1.3), "pucker": (0.42, 1.2), "funnel": (0.36, 1.2), "lower": (0.08, 0.4), "stretch": (0, 0.8)},
    "U": {"jaw": (0.12, 1.2), "pucker": (0.8, 1.6), "funnel": (0.24, 1.3), "stretch": (0, 1)},
    "W": {"jaw": (0.07, 1.2), "pucker": (0.92, 2.2), "funnel": (0.16, 1.5), "stretch": (0, 1)},
    "ax": {"jaw": (0.19, 0.7), "upper": (0.1, 0.4), "lower": (0.18, 0.4), "pucker": (0.04, 0.3)},
    "hh": {"jaw": (0.18, 0.2)},
}  # fmt: skip

# ARPAbet -> visemes, two for diphthongs
OF_PHONEME: dict[str, tuple[str, ...]] = {
    "pau": ("sil",), "p": ("PP",), "b": ("PP",), "m": ("PP",), "f": ("FF",), "v": ("FF",), "th": ("TH",),
    "dh": ("TH",), "t": ("DD",), "d": ("DD",), "n": ("nn",), "l": ("nn",), "k": ("kk",), "g": ("kk",), "ng": ("kk",),
    "ch": ("CH",), "jh": ("CH",), "sh": ("CH",), "zh": ("CH",), "s": ("SS",), "z": ("SS",), "r": ("RR",),
    "er": ("RR",), "hh": ("hh",), "w": ("W",), "y": ("I",), "aa": ("aa",), "ae": ("aa",), "ah": ("aa",),
    "ao": ("O",), "aw": ("aa", "U"), "ax": ("ax",), "ay": ("aa", "I"), "eh": ("E",), "ey": ("E", "I"),
    "ih": ("I",), "iy": ("I",), "ow": ("O", "U"), "oy": ("O", "I"), "uh": ("U",), "uw": ("U",),
}  # fmt: skip
_VOWELS_OPEN = ("aa", "E", "I", "O", "U", "ax")
_REST = (0.0, 0.18)


def viseme_segments(segments: list[Segment]) -> list[Segment]:
    """Split phonemes into viseme segments (start_s, end_s, viseme)."""
    out = []
    for start, end, phoneme in segments:
        names = OF_PHONEME.get(phoneme, ("sil",))
        step = (end - start) / len(names)
        out += [(start + k * step, start + (k + 1) * step, name) for k, name in enumerate(names)]
    return out


def closure(visemes: list[Segment], times: np.ndarray) -> np.ndarray:
    """How shut the lips must be for /m b p/ at the given times, 0..1 (T,). Held for at least 60 ms.

    60 ms: longer than a video frame of 40 ms, so at least one frame of every closure is exactly shut.
    """
    shut = np.zeros(len(times))
    for start, end, viseme in visemes:
        if viseme == "PP":
            half = max((end - start) * 0.5, 0.03)
            away = np.maximum(np.abs(times - (start + end) / 2) - half, 0)
            ramp = np.clip(1 - away / 0.055, 0, 1)  # lips open in about 55 ms
            shut = np.maximum(shut, ramp * ramp * (3 - 2 * ramp))
    return shut


def mouth_track(
    segments: list[Segment], duration_s: float, fps: int, *, jaw_gain: float = 1.0, lip_gain: float = 1.0,
    loudness: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mouth weights per video frame, sampled in the middle of each frame.

    loudness: optional (T,) about 1 in the mean; louder syllables open the jaw more.
    Returns weights (T, 53) in the order of UNITS, closure (T,) 0..1, viseme names (T,).
    """  # fmt: skip
    visemes = viseme_segments(segments)
    ticks = np.arange(round(duration_s * TRACK_HZ) + 1) / TRACK_HZ
    pulled = np.zeros((len(CHANNELS), len(ticks)))
    dominance = np.full((len(CHANNELS), len(ticks)), 0.06)  # a weak pull to rest keeps silence defined
    for start, end, viseme in visemes:
        centre, half = (start + end) / 2, max((end - start) / 2, 0.03)
        away = np.maximum(np.abs(ticks - centre) - 0.45 * half, 0)
        shape = np.exp(-((away / np.where(ticks < centre, AHEAD_S, BEHIND_S)) ** POWER))
        # A pause shorter than 120 ms hardly relaxes the mouth.
        share = min(1.0, (end - start) / 0.12) if viseme == "sil" else 1.0
        gain = 1.0
        if loudness is not None and viseme in _VOWELS_OPEN:
            gain = float(np.clip(loudness[min(int(centre * fps), len(loudness) - 1)], 0.6, 1.35))
        for row, channel in enumerate(CHANNELS):
            target, strength = VISEMES[viseme].get(channel, _REST)
            pulled[row] += strength * share * shape * target * (gain if channel == "jaw" else 1.0)
            dominance[row] += strength * share * shape
    track = pulled / dominance
    track[_ROW["jaw"]] *= jaw_gain
    for channel in ("upper", "lower", "pucker", "funnel", "stretch"):
        track[_ROW[channel]] *= lip_gain
    shut = closure(visemes, ticks)
    for channel in ("upper", "lower", "funnel"):
        track[_ROW[channel]] *= 1 - shut
    track[_ROW["press"]] = np.maximum(track[_ROW["press"]], 0.25 * shut)
    track[_ROW["roll_lower"]] = np.maximum(track[_ROW["roll_lower"]], 0.12 * shut)
    kernel = np.hanning(9)[1:-1]  # 70 ms at 100 Hz: muscles don't jerk
    kernel /= kernel.sum()
    track = np.stack([np.convolve(np.pad(row, 3, "edge"), kernel, "valid") for row in track])
    # mouthClose = jawOpen shuts the lips exactly; after smoothing, so that shut stays shut.
    track[_ROW["close"]] = shut * track[_ROW["jaw"]]
    middles = (np.arange(round(duration_s * fps)) + 0.5) / fps
    weights = np.zeros((len(middles), len(UNITS)))
    for row, names in enumerate(CHANNELS.values()):
        for name in names:
            weights[:, UNITS.index(name)] = np.interp(middles, ticks, track[row])
    labels = np.full(len(middles), "sil", dtype="<U4")
    for start, end, viseme in visemes:
        labels[(middles >= start) & (middles < end)] = viseme
    return weights, closure(visemes, middles), labels
