"""Other microphones, rooms and cameras: what is done to sound and pictures at training time, so that a network meets them."""
import cv2
import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from atl_face.stream import SAMPLE_RATE
from atl_training.noises import a_stretch

CLEAN_SHARE = 0.33  # of the excerpts stay as they are: the usual case must stay the best
BANDS_HZ = ((300, 3400), (120, 5000), (80, 7000))  # telephone, cheap headset, laptop
MASKED = 0.15  # of the mel bands, at most, that `lose_bands` takes at once


def degrade_sound(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Another microphone, room and level: gain, tilt, band, reverberation, other sounds; a third stays as it is.

    Args:
        sound: (n,) in [-1, 1], 16 kHz.
    """
    if rng.random() < CLEAN_SHARE:
        return sound
    sound = sound * 10 ** (rng.uniform(-18, 10) / 20)
    if rng.random() < 0.5:  # spectral tilt up to about 6 dB per octave either way
        tilt = rng.uniform(-0.7, 0.7)
        sound = sound + tilt * np.concatenate([[0], sound[:-1]])
    if rng.random() < 0.15:
        band = BANDS_HZ[rng.integers(len(BANDS_HZ))]
        sound = sosfilt(butter(2, band, "bandpass", fs=SAMPLE_RATE, output="sos"), sound)
    if rng.random() < 0.3:  # a short room: exponentially decaying reflections
        taps = rng.standard_normal(1600) * np.exp(-np.arange(1600) / rng.uniform(150, 500)) * 0.05
        taps[0] = 1
        sound = fftconvolve(sound, taps)[: len(sound)]
    level = np.sqrt(np.mean(sound**2)) or 10 ** (rng.uniform(-60, -30) / 20)
    noise = level * 10 ** (-rng.uniform(0, 40) / 20) * a_stretch(rng, len(sound))
    return np.clip(sound + noise, -1, 1).astype(np.float32)


def lose_chunks(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Sound of which a stretch of 20 to 600 ms never arrived, in an eighth of the excerpts: networks on robots drop chunks, and
    what is heard afterwards must not be misheard for long."""
    if rng.random() < 0.125:
        begin = rng.integers(len(sound))
        sound = sound.copy()
        sound[begin:begin + int(SAMPLE_RATE * 0.02 * rng.integers(1, 31))] = 0
    return sound


def other_throat(rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
    """Log-mel features (n, MELS) of another speaker: half of them with the bands moved as a longer or shorter vocal tract
    would (Jaitly and Hinton, "Vocal Tract Length Perturbation", 2013: factors of 0.9 to 1.1; voices of children need more)."""
    if rng.random() < 0.5:
        return features
    bands = np.arange(features.shape[1], dtype=np.float32)
    place = np.clip(bands * rng.uniform(0.86, 1.16), 0, len(bands) - 1.001)
    below = place.astype(int)
    share = (place - below).astype(np.float32)
    return features[:, below] * (1 - share) + features[:, below + 1] * share


def lose_bands(rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
    """Log-mel features (n, MELS) of which half the excerpts miss one or two bands of up to MASKED (Park et al., "SpecAugment",
    2019, without its masks in time: what is guessed there is the sentence, and that is learnt by heart)."""
    if rng.random() < 0.5:
        return features
    features = features.copy()
    for _ in range(rng.integers(1, 3)):
        width = rng.integers(1, int(MASKED * features.shape[1]) + 1)
        begin = rng.integers(features.shape[1] - width + 1)
        features[:, begin:begin + width] = features.mean()
    return features


class CameraNoise:
    """One camera's faults, the same for all pictures of a clip: sensor noise, a JPEG's blocks, a soft lens.

    Its strengths are drawn once; `__call__` draws new noise for every picture.
    """

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._noise = float(rng.choice([0.0, rng.uniform(1, 6)]))  # grey levels at middle grey
        self._quality = int(rng.choice([0, rng.integers(35, 90)]))  # JPEG's; 0: not compressed
        self._blur = float(rng.choice([0.0, rng.uniform(0.4, 1.0)]))  # px

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """An RGB picture (H, W, 3) uint8 as this camera would have taken it."""
        if self._blur:
            picture = cv2.GaussianBlur(picture, (0, 0), self._blur)
        if self._noise:  # photon noise grows with the root of the light
            light = picture.astype(np.float32)
            noise = self._rng.standard_normal(light.shape, np.float32) * self._noise * np.sqrt((light + 8) / 136)
            picture = np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)
        if self._quality:
            blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            _, data = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
            picture = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return picture
