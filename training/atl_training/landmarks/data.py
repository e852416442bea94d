"""Sound and speech weights for training the landmark network: the draft corpus (rules), GRID (a real speaker)."""
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import soundfile
from scipy.signal import lfilter
from tqdm import tqdm

from atl_face.stream import FRAME_RATE, FRAME_SAMPLES
from atl_face.topology import SPEECH_WEIGHTS, WEIGHT, lip_gap, unit_weights
from atl_landmark_node.features import HOP, log_mel
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STYLES
from atl_training.corpus.motion import EMOTIONS
from atl_training.landmarks.fit import fit_speech_weights, level_to
from atl_training.splits import held_out

SPEECH = np.array([WEIGHT[name] for name in SPEECH_WEIGHTS])
NEUTRAL_FRAMES = 6  # the frames with the least lip gap make a clip's neutral face


@dataclass
class Utterance:
    """sound (n,) int16 16 kHz; weights (T, len(SPEECH_WEIGHTS)); speaking (T,) bool; style an index of STYLES."""

    name: str
    sound: np.ndarray
    weights: np.ndarray
    speaking: np.ndarray
    style: int
    held: bool


def closed_neutral(landmarks: np.ndarray) -> np.ndarray:
    """The neutral face (68, 3) of tracked landmarks (T, 68, 3): the mean of the frames with the most closed mouth."""
    order = np.argsort(lip_gap(landmarks))[:NEUTRAL_FRAMES]
    first = landmarks[order[0]].astype(np.float64)
    return np.mean([level_to(first, landmarks[i].astype(np.float64)) for i in order], axis=0)


def load_grid(tracks: Path, alignments: Path) -> list[Utterance]:
    """Real utterances: what `atl_training.grid` tracked, weights fitted; held out by clip name."""
    words: dict[str, list[tuple[float, float]]] = {}
    for line in alignments.read_text().splitlines()[1:]:
        name, start, end, word = line.split("\t")
        if word not in ("sil", "sp"):
            words.setdefault(name, []).append((float(start), float(end)))
    out = []
    for path in tqdm(sorted(tracks.glob("*.npz")), desc="fitting GRID"):
        with np.load(path) as data:
            landmarks, sound = data["landmarks"], data["audio"]
        frames = min(len(landmarks), len(sound) // FRAME_SAMPLES)
        weights = fit_speech_weights(landmarks[:frames], closed_neutral(landmarks))
        times = (np.arange(frames) + 0.5) / FRAME_RATE
        speaking = np.any([(times >= a - 0.06) & (times < b + 0.06) for a, b in words.get(path.stem, [(0, 99)])], axis=0)
        out.append(Utterance(path.stem, _int16(sound), weights.astype(np.float32), speaking,
                             STYLES.index("real"), held_out(path.stem)))  # fmt: skip
    return out


def load_corpus(folder: Path) -> list[Utterance]:
    """Clips of the corpus (`atl_training.corpus make`), whose held-out identities speak held-out sentences in held-out
    voices. What the clip's emotion adds to the mouth is taken out: the network answers for speech alone."""
    out = []
    for path in tqdm(sorted(folder.glob("*.npz")), desc="loading corpus"):
        with np.load(path) as data:
            felt = unit_weights(EMOTIONS[str(data["emotion"])]) * float(data["emotion_intensity"])
            weights = np.clip(data["weights"] - felt, 0, 1)[:, SPEECH].astype(np.float32)
            speaking, held = data["speaking"].astype(bool), bool(data["validation"])
        sound, rate = soundfile.read(path.with_suffix(".flac"), dtype="int16")
        if rate != FRAME_SAMPLES * FRAME_RATE:
            raise ValueError(f"{path.stem}: the corpus's sound must be 16 kHz, not {rate}")
        out.append(Utterance(path.stem, sound, weights, speaking, STYLES.index("rules"), held))
    return out


def _int16(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)


class Batches:
    """Random excerpts with augmented sound.

    Args:
        frames: landmark frames of an excerpt.
        real_share: of a batch that is drawn from the real speaker.
        silent_share: of a batch that is no speech at all (noise, hum, tones, faded sound), with a mouth at rest.
    """

    def __init__(self, utterances: list[Utterance], frames: int, batch: int, seed: int,
                 real_share: float = 0.4, silent_share: float = 0.06):  # fmt: skip
        self._rng = np.random.default_rng(seed)
        self._pools = [[u for u in utterances if u.style == style] for style in range(len(STYLES))]
        self._frames, self._batch, self._real_share, self._silent = frames, batch, real_share, silent_share

    def ahead(self, count: int = 4):
        """Endless batches of `draw`, made in a background thread."""
        queue: Queue = Queue(count)

        def work():
            while True:
                queue.put(self.draw())

        Thread(target=work, daemon=True).start()
        while True:
            yield queue.get()

    def draw(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """features (B, 4 T + LOOKAHEAD, MELS), weights (B, T, n), speaking (B, T), style (B, len(STYLES))."""
        rows = [self._row() for _ in range(self._batch)]
        return tuple(np.stack(column).astype(np.float32) for column in zip(*rows, strict=True))

    def _row(self):
        rng, frames = self._rng, self._frames
        pool = self._pools[1] if self._pools[1] and (not self._pools[0] or rng.random() < self._real_share) else self._pools[0]
        utterance = pool[rng.integers(len(pool))]
        length = (frames * CURRENT + LOOKAHEAD) * HOP
        count = len(utterance.weights)
        start = int(rng.integers(-6, max(1, count - frames // 2)))  # may begin before the sound: silence, mouth at rest
        sound = _excerpt(utterance.sound, start * FRAME_SAMPLES, length).astype(np.float32) / 32768
        weights = _excerpt(utterance.weights, start, frames)
        speaking = _excerpt(utterance.speaking, start, frames).astype(np.float32)
        if rng.random() < self._silent:
            sound, weights, speaking = np.zeros_like(sound), np.zeros_like(weights), np.zeros_like(speaking)
        style = np.zeros(len(STYLES))
        style[utterance.style] = 1
        return log_mel(self._augment(sound)), weights, speaking, style

    def _augment(self, sound: np.ndarray) -> np.ndarray:
        """Another microphone, room and level: gain, tilt, noise, hum; a third stays as it is."""
        rng = self._rng
        if rng.random() < 0.33:
            return sound
        sound = sound * 10 ** (rng.uniform(-18, 10) / 20)
        if rng.random() < 0.5:  # spectral tilt up to about 6 dB per octave either way
            tilt = rng.uniform(-0.7, 0.7)
            sound = sound + tilt * np.concatenate([[0], sound[:-1]])
        if rng.random() < 0.3:  # a short room: exponentially decaying reflections
            taps = rng.standard_normal(1600) * np.exp(-np.arange(1600) / rng.uniform(150, 500)) * 0.05
            taps[0] = 1
            sound = np.fft.irfft(np.fft.rfft(sound, 1 << 16) * np.fft.rfft(taps, 1 << 16))[: len(sound)]
        level = np.sqrt(np.mean(sound**2)) or 10 ** (rng.uniform(-60, -30) / 20)
        noise = rng.standard_normal(len(sound))
        if rng.random() < 0.5:  # brown-ish: a one-pole low pass, like fans and traffic
            noise = lfilter([1], [1, -0.97], noise)
        noise *= level * 10 ** (-rng.uniform(3, 45) / 20) / np.sqrt(np.mean(noise**2))
        if rng.random() < 0.2:
            t = np.arange(len(sound)) / 16000
            noise += level * 10 ** (-rng.uniform(5, 30) / 20) * np.sin(2 * np.pi * rng.uniform(45, 900) * t)
        return np.clip(sound + noise, -1, 1).astype(np.float32)


def _excerpt(array: np.ndarray, start: int, length: int) -> np.ndarray:
    """array[start:start + length] with zeros where that reaches outside."""
    out = np.zeros((length, *array.shape[1:]), array.dtype)
    a, b = max(start, 0), min(start + length, len(array))
    if b > a:
        out[a - start: b - start] = array[a:b]
    return out
