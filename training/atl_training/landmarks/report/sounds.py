"""Sounds that are no speech, and what is done to speech before it reaches a microphone's other end. All from seeds."""
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np
import soundfile
import soxr
from scipy.signal import lfilter

from atl_face.media import read_audio
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus.speech import LEVEL, at_level

SECONDS = 10.0
CROWDS = 24  # whose lips move is luck: of three the worst was 12 % of speech once, and 26 % of others
TALKERS = 6  # of a babble: fewer can be told apart, more sound like noise
CHORDS = ((220.0, 261.63, 329.63), (174.61, 220.0, 261.63), (130.81, 196.0, 329.63), (196.0, 246.94, 293.66))  # Am F C G, Hz
BEAT_S = 0.5  # 120 a minute
HARMONICS = 8
FULL = 1.0  # a converter's full scale
RATES = (8000, 22050, 44100, 48000)  # Hz: telephones, old games, CDs, everything else


def at_speech_level(sound: np.ndarray) -> np.ndarray:
    """A sound (n,) with the RMS that `at_level` gives to the sounding parts of speech: 0 dB against it."""
    return (sound * LEVEL / max(float(np.sqrt(np.mean(sound**2))), 1e-9)).astype(np.float32)


def white(rng: np.random.Generator, count: int) -> np.ndarray:
    """White noise (n,) at the level of speech."""
    return at_speech_level(rng.standard_normal(count))


def babble(rng: np.random.Generator, voices: list[np.ndarray], count: int) -> np.ndarray:
    """TALKERS of the voices (n,) at once, each from anywhere in its recording, at the level of speech."""
    chosen = rng.choice(len(voices), min(TALKERS, len(voices)), replace=False)
    return at_speech_level(sum(np.roll(np.resize(at_level(voices[i]), count), rng.integers(count)) for i in chosen))


def music(rng: np.random.Generator, count: int) -> np.ndarray:
    """Four chords with HARMONICS harmonics each, struck on every beat, a bass, a drum and a hi-hat; at the level of speech."""
    time = np.arange(count) / SAMPLE_RATE
    since = time % BEAT_S
    beat = (time // BEAT_S).astype(int)
    sound = np.zeros(count)
    for at, chord in enumerate(CHORDS):
        now = (beat // 4) % len(CHORDS) == at
        for note in (*chord, chord[0] / 2):
            for k in range(1, HARMONICS + 1):
                sound += now * np.sin(2 * np.pi * k * note * time + rng.uniform(0, 2 * np.pi)) / k
    sound *= np.exp(-3 * since) * np.minimum(1, since / 0.01)
    drum = np.sin(2 * np.pi * 55 * since) * np.exp(-18 * since) * (beat % 2 == 0)
    hat = rng.standard_normal(count) * np.exp(-60 * (time % (BEAT_S / 2)))
    return at_speech_level(sound + 4 * drum + 0.8 * hat)


def no_speech(rng: np.random.Generator, voices: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """What a mouth should not move to, by kind; babble, which is speech, only nobody's."""
    count = round(SECONDS * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5))
    steps = np.repeat(rng.uniform(150, 3000, round(SECONDS * 2)), SAMPLE_RATE // 2)  # Hz, a new one every half second
    return {
        "silence": [np.zeros(count, np.float32)],
        "silence with hum (-40 dB)": [0.01 * at_speech_level(hum)],
        "hum": [at_speech_level(hum)],
        "DC offset 0.3": [np.full(count, 0.3, np.float32)],
        "pure tones": [at_speech_level(np.sin(2 * np.pi * hertz * time)) for hertz in (100, 440, 1000, 3000)],
        "tones in steps": [at_speech_level(np.sin(2 * np.pi * np.cumsum(steps) / SAMPLE_RATE))],
        "white noise": [white(rng, count) for _ in range(2)],
        "brown noise": [at_speech_level(lfilter([1], [1, -0.97], rng.standard_normal(count))) for _ in range(2)],
        "clipped noise": [np.clip(100 * white(rng, count), -FULL, FULL)],
        "music": [music(rng, count)],
        "clipped music": [np.clip(20 * music(rng, count), -FULL, FULL)],
        "babble": [babble(rng, voices, count) for _ in range(CROWDS)],
    }  # fmt: skip


def disturbances(rng: np.random.Generator, voices: list[np.ndarray]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """What is done to speech (n,) at the level of `at_level`, by name; it stays as long."""
    changes = {
        "gain -20 dB": lambda sound: 0.1 * sound,
        "gain +20 dB": lambda sound: 10 * sound,  # beyond full scale: what a float stream can hold
        "clipped: gain +20 dB into full scale": lambda sound: np.clip(10 * sound, -FULL, FULL),
        "DC offset 0.1": lambda sound: sound + 0.1,
        "white noise, 0 dB": lambda sound: sound + white(rng, len(sound)),
        "white noise, 10 dB": lambda sound: sound + 10**-0.5 * white(rng, len(sound)),
        "babble, 0 dB": lambda sound: sound + babble(rng, voices, len(sound)),
        "babble, 10 dB": lambda sound: sound + 10**-0.5 * babble(rng, voices, len(sound)),
        "music, 0 dB": lambda sound: sound + music(rng, len(sound)),
    }
    for rate in RATES:
        changes[f"a file of {rate / 1000:g} kHz"] = partial(through_file, rate=rate)
    return changes | {"a stereo file of 48 kHz, one side 6 dB down": partial(through_file, rate=48000, stereo=True)}


def through_file(sound: np.ndarray, rate: int, stereo: bool = False) -> np.ndarray:
    """A sound (n,) as it comes back from a WAV file of another rate through the project's own reader and resampler."""
    other = np.clip(soxr.resample(sound, SAMPLE_RATE, rate), -FULL, FULL)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        soundfile.write(file.name, np.stack([other, other / 2], axis=1) if stereo else other, rate)
        back = read_audio(file.name)
    return np.pad(back, (0, max(0, len(sound) - len(back))))[: len(sound)]
