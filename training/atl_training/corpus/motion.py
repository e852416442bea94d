"""Life around the mouth: head pose, blinks, gaze, brows, emotion; and lips that really shut."""

from dataclasses import dataclass

import numpy as np

from atl_training.corpus.assets import UNITS
from atl_training.corpus.head import UNIT, Head

# Weights at intensity 1 for MEAD's eight emotions; a name without Left/Right means both sides.
EMOTIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "angry": {"browDown": 0.8, "noseSneer": 0.35, "eyeSquint": 0.35, "mouthPress": 0.15, "mouthFrown": 0.2},
    "contempt": {"mouthSmileLeft": 0.35, "mouthDimpleLeft": 0.4, "browDownRight": 0.2, "eyeSquint": 0.2},
    "disgusted": {"noseSneer": 0.7, "mouthUpperUp": 0.22, "browDown": 0.4, "eyeSquint": 0.3, "mouthFrown": 0.2},
    "fear": {"browInnerUp": 0.8, "browOuterUp": 0.3, "eyeWide": 0.6, "mouthStretch": 0.35},
    "happy": {"mouthSmile": 0.5, "cheekSquint": 0.45, "eyeSquint": 0.15, "mouthDimple": 0.1},
    "sad": {"browInnerUp": 0.75, "mouthFrown": 0.45, "mouthShrugLower": 0.15, "eyeBlink": 0.12},
    "surprised": {"browInnerUp": 0.6, "browOuterUp": 0.8, "eyeWide": 0.6, "jawOpen": 0.07},
}
EMOTION_SHARES = (0.40, 0.07, 0.06, 0.06, 0.07, 0.20, 0.07, 0.07)  # in the order of EMOTIONS
MAX_TURN = np.radians(15)
EASE_S = 0.6  # everything eases in from a near-neutral, near-frontal first frame
GAZE_GAIN = 1 / 0.6  # an eyeLook unit of 1 turns the eye by roughly 35 degrees


@dataclass
class Performance:
    """One clip's motion, T frames. Rotation: radians about image axes; see clip.py for their definition."""

    weights: np.ndarray  # (T, 53)
    rotation: np.ndarray  # (T, 3) pitch, yaw, roll
    shift: np.ndarray  # (T, 3) dm of the neck's pivot, mesh axes
    gaze: np.ndarray  # (T, 2) rad yaw, pitch: + image right, up
    emotion: str
    intensity: float


def smooth_noise(rng: np.random.Generator, count: int, fps: int, tau_s: float, amplitude: float) -> np.ndarray:
    """Gaussian noise of standard deviation `amplitude`, smoothed by a Gaussian of tau_s seconds, (count,)."""
    reach = int(4 * tau_s * fps) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (tau_s * fps)) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return amplitude * np.convolve(rng.normal(0, 1, count + 2 * reach), kernel, "valid")


def perform(rng: np.random.Generator, head: Head, mouth: np.ndarray, shut: np.ndarray, speaking: np.ndarray,
            loudness: np.ndarray, fps: int, emotion: str | None = None) -> Performance:  # fmt: skip
    """Add everything but speech to the mouth weights (T, 53); `shut` (T,) says where /m b p/ close the lips."""
    count = len(mouth)
    time = np.arange(count) / fps
    ease = np.clip(time / EASE_S, 0, 1)
    ease = ease * ease * (3 - 2 * ease)
    weights = mouth.copy()
    shares = np.array(EMOTION_SHARES)
    emotion = emotion or str(rng.choice(list(EMOTIONS), p=shares / shares.sum()))
    intensity = float(rng.uniform(0.35, 0.95))
    level = intensity * np.clip(1 + smooth_noise(rng, count, fps, 1.0, 0.15), 0.4, 1.4) * ease
    for name, value in EMOTIONS[emotion].items():
        _add(weights, name, value * level)
    weights += ease[:, None] * _brows(rng, count, fps, loudness)
    gaze = _gaze(rng, count, fps) * ease[:, None]
    _look(weights, gaze)
    blink = _blinks(rng, time)
    lid = 1 - weights[:, UNIT["eyeBlinkLeft"]]
    _add(weights, "eyeBlink", blink * lid)
    _mouth_asymmetry(rng, weights)
    _close_lips(rng, head, weights, shut, speaking)
    pitch = rng.normal(0, 3.5) + smooth_noise(rng, count, fps, 0.5, 2.5) + rng.uniform(0, 4) * (loudness - 0.5)
    yaw = rng.normal(0, 4.5) + smooth_noise(rng, count, fps, 0.6, 3.5) + smooth_noise(rng, count, fps, 0.2, 0.8)
    roll = rng.normal(0, 2) + smooth_noise(rng, count, fps, 0.7, 1.8)
    turn = np.radians(np.stack([pitch, yaw, roll], 1))
    turn = MAX_TURN * np.tanh(turn / MAX_TURN)
    rotation = turn * (0.15 + 0.85 * ease[:, None])
    shift = np.stack([smooth_noise(rng, count, fps, 1.0, a) for a in (0.035, 0.025, 0.05)], 1)
    shift[:, 1] += 0.008 * np.sin(2 * np.pi * time / rng.uniform(3, 5) + rng.uniform(0, 6))  # breath
    return Performance(np.clip(weights, 0, 1), rotation, shift * ease[:, None], gaze, emotion, intensity)


def _add(weights: np.ndarray, name: str, value) -> None:
    for unit in [name] if name in UNITS else [f"{name}Left", f"{name}Right"]:
        weights[:, UNIT[unit]] += value


def _brows(rng: np.random.Generator, count: int, fps: int, loudness: np.ndarray) -> np.ndarray:
    out = np.zeros((count, len(UNITS)))
    stress = 0.35 * rng.uniform(0, 1) * np.clip(loudness - 0.9, 0, 1)
    _add(out, "browInnerUp", np.maximum(0, smooth_noise(rng, count, fps, 0.3, 0.12)) + stress)
    _add(out, "browOuterUp", np.maximum(0, smooth_noise(rng, count, fps, 0.3, 0.12)) + 0.6 * stress)
    _add(out, "browDown", np.maximum(0, smooth_noise(rng, count, fps, 0.4, 0.07)))
    return out


def _gaze(rng: np.random.Generator, count: int, fps: int) -> np.ndarray:
    """Saccades: the eyes rest on one point for .3 to 2 s, mostly near the viewer, (T, 2) rad."""
    gaze = np.zeros((count, 2))
    at = int(rng.uniform(0.3, 1.5) * fps)
    while at < count:
        until = at + int(rng.uniform(0.3, 2.0) * fps) + 1
        away = rng.random() < 0.55
        gaze[at:until] = rng.normal(0, [0.14, 0.07]) if away else 0
        at = until
    return np.clip(gaze, [-0.35, -0.2], [0.35, 0.2])


def _look(weights: np.ndarray, gaze: np.ndarray) -> None:
    right, up = gaze[:, 0] * GAZE_GAIN, gaze[:, 1] * GAZE_GAIN
    # The image's right is the person's left.
    weights[:, UNIT["eyeLookOutLeft"]] += np.maximum(right, 0)
    weights[:, UNIT["eyeLookInRight"]] += np.maximum(right, 0)
    weights[:, UNIT["eyeLookInLeft"]] += np.maximum(-right, 0)
    weights[:, UNIT["eyeLookOutRight"]] += np.maximum(-right, 0)
    _add(weights, "eyeLookUp", np.maximum(up, 0))
    _add(weights, "eyeLookDown", np.maximum(-up, 0))


def _blinks(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Blinks every 3.6 s in the mean: about 80 ms to shut, 150 ms to open, (T,) 0..1."""
    out = np.zeros(len(time))
    at = rng.uniform(0.5, 3.0)
    while at < time[-1]:
        away = (time - at) / 0.07
        out = np.maximum(out, np.exp(-(np.abs(away) ** 2.2) * np.where(away > 0, 0.45, 1.0)))
        at += 0.6 + rng.exponential(3.0)
    return out


def _mouth_asymmetry(rng: np.random.Generator, weights: np.ndarray) -> None:
    """Each speaker favours a side a little."""
    bias = float(np.clip(rng.normal(0, 0.12), -0.3, 0.3))
    for name in ("mouthUpperUp", "mouthLowerDown", "mouthSmile", "mouthStretch"):
        weights[:, UNIT[f"{name}Left"]] *= 1 + bias
        weights[:, UNIT[f"{name}Right"]] *= 1 - bias


def _close_lips(rng, head: Head, weights: np.ndarray, shut: np.ndarray, speaking: np.ndarray) -> None:
    """Solve mouthClose so that the inner lips meet where they must, whatever emotion adds.

    The gap is linear in the weights, so one division per pair does it. In pauses most people shut their lips.
    """
    rest = float(rng.choice([1.0, 1.0, 1.0, 0.7]))
    pause = np.convolve(np.pad(1.0 - speaking, 4, "edge"), np.hanning(11)[1:-1] / np.hanning(11).sum(), "valid")
    want = np.maximum(shut, rest * pause)
    closing = -head.lip_gap_units()[UNIT["mouthClose"]]  # (3,) dm per unit
    gaps = head.lip_gaps(weights)  # (T, 3)
    close = weights[:, UNIT["mouthClose"]]
    close = close + want * np.max(gaps / closing, axis=1)  # the widest of the three pairs decides
    weights[:, UNIT["mouthClose"]] = np.clip(close, 0, 1)
    # Elsewhere lips must not pass through each other: drop the jaw by what is missing.
    missing = np.maximum(0, -np.min(head.lip_gaps(weights), axis=1) - 0.004) * (1 - want)
    weights[:, UNIT["jawOpen"]] += missing / head.lip_gap_units()[UNIT["jawOpen"]].mean()
