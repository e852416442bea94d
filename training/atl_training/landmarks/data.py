"""Sound and speech weights for training the landmark network: the corpus (rules, and real motion replayed), real video."""
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
from tqdm import tqdm

from atl_face.errors import UserError
from atl_face.pcm import to_float, to_int16
from atl_face.stream import FRAME_SAMPLES
from atl_landmark_node.features import HOP, log_mel
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STYLES
from atl_training.augment import degrade_sound, lose_bands, lose_chunks, other_throat
from atl_training.corpus.visemes import VISEMES
from atl_training.landmarks.encoders import Encoder
from atl_training.landmarks.fit import closed_neutral, fit_speech_weights
from atl_training.noises import a_stretch
from atl_training.shards import Sample, read_shards, share_alike

ECHOES = 2
TEMPI = 0.87, 1.15
"""Between which half the excerpts are played faster or slower, mouth and all (Ko et al., "Audio Augmentation for Speech
Recognition", 2015, have .9, 1 and 1.1): the same sentence is another one to learn by heart."""
NAMED = tuple(VISEMES)
UNKNOWN = -1
CROWD = 3, 8  # voices of a babble, from and up to
CLIPPED_SHARE = 0.2  # of the excerpts without speech are driven far into full scale, as cheap amplifiers do


@dataclass
class Utterance:
    """sound (n,) int16 16 kHz; weights (T, len(SPEECH_WEIGHTS)); speaking (T,) bool; style an index of STYLES; visemes (T,)
    indices of NAMED, UNKNOWN where nobody wrote them down; taught (T, n): what a teacher makes of it (`teacher`)."""

    name: str
    sound: np.ndarray
    weights: np.ndarray
    speaking: np.ndarray
    style: int
    held: bool
    visemes: np.ndarray | None = None  # all UNKNOWN
    taught: np.ndarray | None = None


def load_shards(sources: list[Path]) -> list[Utterance]:
    """Utterances of shards: the studio's clips with what speech alone does to their faces, and loaded real video, whose
    weights are fitted to its landmarks. A clip that moves as a real speaker did is of the style `real`. Clips that are
    `share_alike` are left out. Real video that was loaded without alignments doesn't know when it speaks: every frame of it
    counts as speech."""
    return [utterance_of(sample) for sample in tqdm(read_shards(sources), desc="utterances") if not share_alike(sample.facts)]


def utterance_of(sample: Sample) -> Utterance:
    """A shard's clip as training takes it: see `load_shards`."""
    arrays = sample.arrays
    sound = to_int16(sample.audio)
    frames = min(len(arrays["landmarks"]), len(sound) // FRAME_SAMPLES)
    if sample.facts["kind"] == "synthetic":
        weights, style = arrays["speech_weights"], sample.facts["motion"]
    else:
        landmarks = arrays["landmarks"]
        weights, style = fit_speech_weights(landmarks, closed_neutral(landmarks)), "real"
    speaking = arrays.get("speaking", np.ones(frames, bool))
    visemes = np.array([NAMED.index(name) for name in arrays["viseme"][:frames]]) if "viseme" in arrays else None
    return Utterance(sample.key, sound, weights[:frames].astype(np.float32), speaking[:frames], STYLES.index(style),
                     sample.held_out, visemes)  # fmt: skip


class Batches:
    """Random excerpts with augmented sound.

    Args:
        frames: landmark frames of an excerpt.
        lookahead: feature frames (10 ms) after them.
        real_share: of a batch that is drawn from the real speaker.
        silent_share: of a batch that is no speech at all (`noises`, or silence), with a mouth at rest.
        babble_share: of a batch that has another voice or a babble behind it, up to as loud.
        crowd_share: of the silent ones that are a babble: many voices at once are nobody's.
        undisturbed: share of the excerpts with speech whose sound stays as it is, but for tempo, throat and voices behind it.
            What `atl_training.augment` tells of shares is of the others.
        encoder: what hears the sound, 25 times a second; None: log-mel frames of 10 ms.

    Raises:
        UserError: there is nothing to draw from.
    """

    def __init__(self, utterances: list[Utterance], frames: int, batch: int, seed: int | list[int],
                 lookahead: int = LOOKAHEAD, real_share: float = 0.4, silent_share: float = 0.25,
                 babble_share: float = 0.1, crowd_share: float = 0.8, undisturbed: float = 0.0,
                 encoder: Encoder | None = None):  # fmt: skip
        if not utterances:
            raise UserError("No clip is left to train on: all are held out, or share-alike.")
        self._rng = np.random.default_rng(seed)
        self._all = utterances
        self._pools = [[u for u in utterances if u.style == style] for style in range(len(STYLES))]
        self._frames, self._batch, self._real_share, self._silent = frames, batch, real_share, silent_share
        self._lookahead, self._babble, self._crowd, self._encoder = lookahead, babble_share, crowd_share, encoder
        self._undisturbed = undisturbed

    def ahead(self, count: int = 4):
        """Endless batches of `draw`, made in a background thread; each comes ECHOES times, among others (Choi et al., "Faster
        Neural Network Training with Data Echoing", 2019): hearing costs as much as learning."""
        queue: Queue = Queue(count)
        shuffle, waiting = np.random.default_rng(self._rng.integers(2**32)), []

        def work():
            try:
                while True:
                    queue.put(self.draw())
            except Exception as error:  # told where the batches are waited for
                queue.put(error)

        Thread(target=work, daemon=True).start()
        while True:
            while len(waiting) < ECHOES * count:
                drawn = queue.get()
                if isinstance(drawn, Exception):
                    raise drawn
                waiting += [drawn] * ECHOES
            yield waiting.pop(shuffle.integers(len(waiting)))

    def draw(self) -> tuple[np.ndarray, ...]:
        """features (B, 4 T + lookahead, MELS), or (B, T + lookahead / 4, width) of an encoder; weights (B, T, n), speaking
        (B, T), style (B, len(STYLES)), visemes (B, T), taught (B, T, n), NaN where nobody was; all float32."""
        rows = [self._row() for _ in range(self._batch)]
        return tuple(np.stack(column).astype(np.float32) for column in zip(*rows, strict=True))

    def _row(self):
        rng, frames = self._rng, self._frames
        pool = self._pools[1] if self._pools[1] and (not self._pools[0] or rng.random() < self._real_share) else self._pools[0]
        utterance = pool[rng.integers(len(pool))]
        length = (frames * CURRENT + self._lookahead) * HOP
        count = len(utterance.weights)
        start = int(rng.integers(-6, max(1, count - frames // 2)))  # may begin before the sound: silence, mouth at rest
        tempo = 1.0 if rng.random() < 0.5 else rng.uniform(*TEMPI)
        middles = start + (np.arange(frames) + 0.5) * tempo - 0.5  # of the excerpt's frames, in the clip's
        nearest = np.rint(middles).astype(int)
        sound = to_float(_between(utterance.sound, start * FRAME_SAMPLES + np.arange(length) * tempo))
        weights = _between(utterance.weights, middles)
        speaking = rows_at(utterance.speaking, nearest).astype(np.float32)
        visemes = np.full(frames, UNKNOWN) if utterance.visemes is None else rows_at(utterance.visemes, nearest, UNKNOWN)
        taught = np.zeros((frames, 0)) if utterance.taught is None else rows_at(utterance.taught, nearest, np.nan)
        good = rng.random() < self._undisturbed
        if rng.random() < self._silent:
            good = False
            sound = self._nobody(pool, length)
            weights, speaking, visemes = np.zeros_like(weights), np.zeros_like(speaking), np.full(frames, UNKNOWN)
            taught = np.full_like(taught, np.nan)
        elif rng.random() < self._babble:
            behind = self._voices(pool, 1 if rng.random() < 0.5 else int(rng.integers(*CROWD)), length)
            level = np.sqrt(np.mean(sound**2) / (np.mean(behind**2) + 1e-9))
            sound = np.clip(sound + 10 ** (-rng.uniform(0, 20) / 20) * min(level, 10) * behind, -1, 1).astype(np.float32)
        style = np.zeros(len(STYLES))
        style[utterance.style] = 1
        return self._heard(sound, good), weights, speaking, style, visemes, taught

    def _nobody(self, pool: list[Utterance], length: int) -> np.ndarray:
        """Sound (length,) to which no mouth moves: silence, a noise, a babble; at any level, some of it clipped."""
        rng = self._rng
        if rng.random() < 0.2:
            return np.zeros(length, np.float32)
        if rng.random() < self._crowd:
            sound = self._voices(pool, int(rng.integers(CROWD[0] + 1, CROWD[1])), length)
        else:
            sound = a_stretch(rng, length)
        if rng.random() < CLIPPED_SHARE:
            sound = np.clip(sound * 10 ** rng.uniform(0, 2) / (sound.std() + 1e-9), -1, 1)
        return (np.clip(10 ** (rng.uniform(-50, -8) / 20) * sound / (sound.std() + 1e-9), -1, 1)).astype(np.float32)

    def _voices(self, pool: list[Utterance], count: int, length: int) -> np.ndarray:
        """So many voices at once (length,), about equally loud, each from anywhere in its sound; half the time anybody's, not the
        pool's alone: where all film is of one man, his style would never meet a crowd of others."""
        if self._rng.random() < 0.5:
            pool = self._all
        total = np.zeros(length, np.float32)
        for index in self._rng.integers(len(pool), size=count):
            sound = pool[index].sound
            begin = int(self._rng.integers(0, max(1, len(sound) - length)))
            voice = np.resize(sound[begin:], length).astype(np.float32)
            total += voice / (voice.std() + 1)
        return total

    def _heard(self, sound: np.ndarray, good: bool) -> np.ndarray:
        rng = self._rng
        if not good:
            sound = lose_chunks(rng, degrade_sound(rng, sound))
        if self._encoder:
            return self._encoder.disturbed(rng, sound)
        features = other_throat(rng, log_mel(sound))
        return features if good else lose_bands(rng, features)


def rows_at(array: np.ndarray, places: np.ndarray, outside: float = 0) -> np.ndarray:
    """The rows of an array at some places, with `outside` where it has none."""
    out = array[np.clip(places, 0, len(array) - 1)]
    return np.where(((places >= 0) & (places < len(array))).reshape(-1, *[1] * (array.ndim - 1)), out, outside)


def _between(array: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows of an array at places between them, with zeros outside."""
    below = np.floor(places).astype(int)
    share = (places - below).astype(np.float32).reshape(-1, *[1] * (array.ndim - 1))
    return rows_at(array, below) * (1 - share) + rows_at(array, below + 1) * share
