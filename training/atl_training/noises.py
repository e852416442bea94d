"""Sounds that are no speech, made up at training time: what a robot hears between and under words."""
from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from atl_face.stream import SAMPLE_RATE

KEPT, KEPT_S = 160, 8  # sounds, and their length: 80 MB


def no_speech(rng: np.random.Generator, count: int) -> np.ndarray:
    """One of the kinds below, or two at once: (count,) float, root mean square 1."""
    sound = sum(kind(rng, count) for kind in rng.choice(KINDS, rng.choice([1, 2], p=[0.7, 0.3]), replace=False))
    return sound / (np.sqrt(np.mean(sound**2)) + 1e-9)


def a_stretch(rng: np.random.Generator, count: int) -> np.ndarray:
    """As `no_speech`, cut at random from sounds that were made once and are kept: drawing is part of every training step."""
    recording = (made() if _given is None else _given)[rng.integers(KEPT)]
    begin = rng.integers(len(recording) - count) if count < len(recording) else 0
    return np.resize(recording[begin:], count)


def coloured(rng: np.random.Generator, count: int) -> np.ndarray:
    """Noise whose power falls with frequency by 0 to 6 dB per octave, and which may swell and fade: wind, fans, traffic."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20.0) ** -rng.uniform(0, 1)
    return np.fft.irfft(spectrum, count) * _swell(rng, count)


def music(rng: np.random.Generator, count: int) -> np.ndarray:
    """Chords of three harmonic notes at an even pace, plucked or held, some with a drum."""
    out, pace = np.zeros(count), int(SAMPLE_RATE * rng.uniform(0.15, 0.8))
    root, fall = rng.uniform(80, 400), rng.choice([0.0, rng.uniform(2, 12)])
    drums = rng.random() < 0.5
    for begin in range(0, count, pace):
        t = np.arange(min(pace, count - begin)) / SAMPLE_RATE
        envelope = np.minimum(1, t / 0.01) * np.exp(-fall * t)
        for interval in (0, rng.choice([3, 4, 5]), rng.choice([7, 8, 12])):
            note = root * 2 ** ((rng.choice([0, 2, 5, 7, -3]) + interval) / 12)
            harmonics = np.arange(1, rng.integers(2, 9))
            phase = 2 * np.pi * note * harmonics[:, None] * t
            out[begin:begin + len(t)] += envelope * (np.sin(phase) / harmonics[:, None]).sum(0)
        if drums:
            out[begin:begin + len(t)] += 3 * rng.standard_normal(len(t)) * np.exp(-40 * t)
    return out


def knocks(rng: np.random.Generator, count: int) -> np.ndarray:
    """Short bursts at random times: doors, steps, keys, dishes."""
    out = np.zeros(count)
    for _ in range(rng.integers(1, 12)):
        begin, length = rng.integers(count), int(SAMPLE_RATE * rng.uniform(0.02, 0.3))
        t = np.arange(min(length, count - begin)) / SAMPLE_RATE
        burst = rng.standard_normal(len(t)) * np.exp(-t * rng.uniform(15, 120))
        out[begin:begin + len(t)] += rng.uniform(0.3, 1) * lfilter([1], [1, -rng.uniform(0, 0.97)], burst)
    return out


def machine(rng: np.random.Generator, count: int) -> np.ndarray:
    """A hum or whine with harmonics, steady or gliding: mains, motors, servos, alarms."""
    t = np.arange(count) / SAMPLE_RATE
    pitch = rng.uniform(40, 1500) * 2 ** (rng.choice([0.0, rng.uniform(0, 1)]) * np.sin(2 * np.pi * rng.uniform(0.1, 4) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    return sum(np.sin(k * phase) * rng.uniform(0, 1) / k for k in range(1, rng.integers(2, 12))) * _swell(rng, count)


KINDS = np.array([coloured, music, knocks, machine], object)


_given = None


def give(sounds: np.ndarray) -> None:
    """Let this process draw from sounds (KEPT, n) that were made before."""
    global _given
    _given = sounds


@lru_cache(maxsize=1)
def made() -> list[np.ndarray]:
    """All the sounds; 16 s of a core."""
    rng = np.random.default_rng(KEPT)
    return [no_speech(rng, KEPT_S * SAMPLE_RATE).astype(np.float32) for _ in range(KEPT)]


def _swell(rng: np.random.Generator, count: int) -> np.ndarray:
    """A loudness that stays, or wanders between 0.1 and 1 a few times a second."""
    if rng.random() < 0.5:
        return np.ones(count)
    knots = rng.uniform(0.1, 1, max(2, int(count / SAMPLE_RATE * rng.uniform(1, 6))))
    return np.interp(np.linspace(0, len(knots) - 1, count), np.arange(len(knots)), knots)
