"""Life around the mouth: head pose, blinks, gaze, brows, emotion, real motion laid over it; and lips that really shut."""

from dataclasses import dataclass

import numpy as np

from atl_face.topology import ARKIT_52
from atl_training.corpus.assets import UNITS
from atl_training.corpus.camera import IMAGE_AXES
from atl_training.corpus.head import NECK_PIVOT, UNIT, Head
from atl_training.corpus.rotation import mesh_rotation

# Weights at intensity 1 for MEAD's eight emotions; a name without Left/Right means both sides. Which units: the action units
# of the prototypes of Ekman and Friesen's FACS (contempt one-sided); how much: ours, chosen by eye.
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
NEUTRAL_SHARE = 0.3  # of the clips; the seven others are alike: robots are mostly spoken to without much feeling
LEVELS = (1, 2, 3)  # MEAD's; level 3 is intensity 1
BLEND_S = 0.24  # in which real motion takes over and lets go, in its own silence before and after speech
TURN = 15.0  # degrees about each axis: no head is turned farther, few come near; where more is asked for, all turn farther
EASE_S = 0.6  # everything eases in from a near-neutral, near-frontal first frame
GAZE_GAIN = 1 / 0.6  # an eyeLook unit of 1 turns the eye by roughly 35 degrees


@dataclass(frozen=True)
class Mood:
    """What a clip feels: one of EMOTIONS, its level (0 for neutral, else 1-3) and intensity 0..1."""

    emotion: str
    level: int
    intensity: float


@dataclass
class Take:
    """A stretch of real motion (see `replay.Motion`) that begins at a frame of the clip."""

    start: int
    weights: np.ndarray  # (t, 52)
    rotation: np.ndarray
    translation: np.ndarray
    shut: np.ndarray


@dataclass
class Performance:
    """One clip's motion, T frames. Rotation: radians about image axes; see rotation.py."""

    weights: np.ndarray  # (T, 53)
    rotation: np.ndarray  # (T, 3) pitch, yaw, roll
    shift: np.ndarray  # (T, 3) dm of the neck's pivot, mesh axes
    gaze: np.ndarray  # (T, 2) rad yaw, pitch: + image right, up
    spoken: np.ndarray  # (T, 53) what speech alone does, without emotion and life: what a landmark network has to answer
    felt: np.ndarray  # (T,) intensity of the emotion, 0..1
    shut: np.ndarray  # (T,) how firmly speech closes the lips, 0..1


def random_mood(rng: np.random.Generator) -> Mood:
    """Neutral in NEUTRAL_SHARE of the draws, else one of the seven others at one of three levels."""
    if rng.random() < NEUTRAL_SHARE:
        return Mood("neutral", 0, 0.0)
    level = int(rng.choice(LEVELS))
    return Mood(str(rng.choice(list(EMOTIONS)[1:])), level, level / LEVELS[-1] * float(rng.uniform(0.85, 1.0)))


def smooth_noise(rng: np.random.Generator, count: int, fps: int, tau_s: float, amplitude: float) -> np.ndarray:
    """Gaussian noise of standard deviation `amplitude`, smoothed by a Gaussian of tau_s seconds, (count,)."""
    reach = int(4 * tau_s * fps) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (tau_s * fps)) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return amplitude * np.convolve(rng.normal(0, 1, count + 2 * reach), kernel, "valid")


def perform(rng: np.random.Generator, head: Head, mouth: np.ndarray, shut: np.ndarray, speaking: np.ndarray,
            loudness: np.ndarray, fps: int, mood: Mood, takes: list[Take], turn: float = TURN) -> Performance:  # fmt: skip
    """Add everything but speech to the mouth weights (T, 53); `shut` (T,) says where /m b p/ close the lips, `turn` (degrees) how
    far the head may be turned.

    Where there is a take, its mouth, brows, blinks and head pose are the real ones; gaze and emotion stay ours.
    """
    count = len(mouth)
    time = np.arange(count) / fps
    ease = np.clip(time / EASE_S, 0, 1)
    ease = ease * ease * (3 - 2 * ease)
    real = [(take, _blend_of(take, count, fps)) for take in takes]
    spoken, shut = mouth.copy(), shut.copy()
    for take, blend in real:
        spoken += blend[:, None] * _SPOKEN * (_padded(take, take.weights, count) - spoken)
        shut += blend * (_padded(take, take.shut[:, None], count)[:, 0] - shut)
    life = ease[:, None] * _brows(rng, count, fps, loudness)
    blink = _blinks(rng, time)
    pitch = rng.normal(0, 3.5) + smooth_noise(rng, count, fps, 0.5, 2.5) + rng.uniform(0, 4) * (loudness - 0.5)
    yaw = rng.normal(0, 4.5) + smooth_noise(rng, count, fps, 0.6, 3.5) + smooth_noise(rng, count, fps, 0.2, 0.8)
    roll = rng.normal(0, 2) + smooth_noise(rng, count, fps, 0.7, 1.8)
    farthest = np.radians(turn)
    rotation = farthest * np.tanh(np.stack([pitch, yaw, roll], 1) / TURN)
    shift = np.stack([smooth_noise(rng, count, fps, 1.0, a) for a in (0.035, 0.025, 0.05)], 1)
    shift[:, 1] += 0.008 * np.sin(2 * np.pi * time / rng.uniform(3, 5) + rng.uniform(0, 6))  # breath
    for take, blend in real:
        weights = _padded(take, take.weights, count)
        life += blend[:, None] * (weights * _BROWS - life)
        both = weights[:, [UNIT["eyeBlinkLeft"], UNIT["eyeBlinkRight"]]].mean(1)
        blink += blend * (both - blink)
        turned = np.clip(_padded(take, take.rotation, count), -farthest, farthest)
        moved = _neck_shift(head, turned, _padded(take, take.translation, count))
        rotation += blend[:, None] * (turned - rotation)
        shift += blend[:, None] * (moved - shift)
    rotation *= 0.15 + 0.85 * ease[:, None]
    felt = np.clip(mood.intensity * (1 + smooth_noise(rng, count, fps, 1.0, 0.15)), 0, 1) * ease
    weights = spoken + life
    for name, value in EMOTIONS[mood.emotion].items():
        _add(weights, name, value * felt)
    gaze = _gaze(rng, count, fps) * ease[:, None]
    _look(weights, gaze)
    _add(weights, "eyeBlink", blink * (1 - weights[:, UNIT["eyeBlinkLeft"]]))
    _mouth_asymmetry(rng, weights)
    _close_lips(rng, head, weights, shut, np.maximum(speaking, sum(blend for _, blend in real)))
    return Performance(np.clip(weights, 0, 1), rotation, shift * ease[:, None], gaze, np.clip(spoken, 0, 1), felt, shut)


_SPOKEN = np.array([name.startswith(("jaw", "mouth", "tongue")) for name in UNITS], float)
_BROWS = np.array([name.startswith("brow") for name in UNITS], float)


def _blend_of(take: Take, count: int, fps: int) -> np.ndarray:
    """How far a take rules each of `count` frames, (count,): 0 outside, 1 inside, smooth between."""
    inside = np.arange(count) - take.start
    edge = np.minimum(inside + 1, len(take.weights) - inside) / (BLEND_S * fps)
    share = np.clip(edge, 0, 1)
    return share * share * (3 - 2 * share)


def _padded(take: Take, values: np.ndarray, count: int) -> np.ndarray:
    """A take's values (t, n) in the clip's time, (count, n), held at both ends; n 52 becomes 53, without tongueUp."""
    rows = np.clip(np.arange(count) - take.start, 0, len(values) - 1)
    values = values[rows]
    return np.pad(values, ((0, 0), (0, 1))) if values.shape[1] == len(ARKIT_52) else values


def _neck_shift(head: Head, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Shift of the neck's pivot (T, 3) dm that brings the middle of the eyes to a translation (T, 3) in eye distances."""
    lever = head.eye_middle() - NECK_PIVOT
    turned = mesh_rotation(rotation) @ lever - lever
    return np.clip(translation, -0.25, 0.25) * IMAGE_AXES * head.eye_distance() - turned


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
    """Saccades: the eyes rest on one point for .3 to 2 s, mostly near the viewer, (T, 2) rad. Times and angles
    are ours, chosen by eye."""
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
    """Blinks every 3.6 s in the mean, 17 a minute (Bentivoglio et al. 1997, people at rest); times are ours: about 80 ms to
    shut, 150 ms to open. (T,) 0..1."""
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
