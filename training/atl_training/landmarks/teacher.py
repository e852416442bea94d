"""What an ear that has heard far more speech makes of the clips: a pretrained encoder's features, which `stream` learns to guess.

Romero et al., "FitNets" (2015): hints from a teacher's hidden layer. The teacher hears the clean clip, all of it; the student
hears it disturbed, and 80 ms ahead. Teachers are not needed once a network is trained.

They are made once for a run, by two processes, and mapped from its folder: 130 kB for 9 s, 7 clips/s of one core with Moonshine.
The file's name tells whose they are, so that no run takes another clip's.
"""
from functools import cache, partial
from hashlib import sha256
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from atl_face.pcm import to_float
from atl_face.stream import FRAME_SAMPLES
from atl_training.checkpoint import complete
from atl_training.landmarks.data import Utterance
from atl_training.landmarks.encoders import load_encoder
from atl_training.workers import begin_worker

SCALE_FROM = 300  # clips whose features give the mean and deviation of each
WORKERS = 2


def keep(utterances: list[Utterance], encoder: str, folder: Path) -> None:
    """Make the features of all utterances in `folder`, if it has none: (frames of all, width) float16, each feature of mean 0
    and deviation 1.

    Raises:
        UserError: the encoder isn't installed.
    """
    path = _file(utterances, encoder, folder)
    if path.exists():
        return
    hear = partial(_heard, encoder)
    load_encoder(encoder, None)  # here, where a UserError is told
    with get_context("spawn").Pool(WORKERS, begin_worker) as pool, complete(path) as half:
        jobs = pool.imap(hear, ((u.sound, len(u.weights)) for u in utterances), chunksize=8)
        first = [next(jobs) for _ in utterances[:SCALE_FROM]]
        known = np.concatenate(first).astype(np.float32)
        mean, deviation = known.mean(0), known.std(0) + 1e-6
        rows = open_memmap(half, "w+", np.float16, (sum(len(u.weights) for u in utterances), known.shape[1]))
        at = 0
        for features in tqdm(chain(first, jobs), "teacher", len(utterances), mininterval=10):
            rows[at:at + len(features)] = (features - mean) / deviation
            at += len(features)
        rows.flush()


def use(utterances: list[Utterance], encoder: str, folder: Path) -> None:
    """Let utterances have their features, which `keep` has made of the very same."""
    rows, at = np.load(_file(utterances, encoder, folder), mmap_mode="r"), 0
    for utterance in utterances:
        utterance.taught = rows[at:at + len(utterance.weights)]
        at += len(utterance.weights)


def _file(utterances: list[Utterance], encoder: str, folder: Path) -> Path:
    whose = sha256("\n".join(f"{u.name} {len(u.weights)}" for u in utterances).encode()).hexdigest()
    return folder / f"taught-{encoder}-{whose[:12]}.npy"


@cache
def _encoder(name: str):
    return load_encoder(name, None)


def _heard(name: str, job: tuple[np.ndarray, int]) -> np.ndarray:
    """Features (T, width) float16 of a sound (n,) int16 of T frames; silence follows one that is shorter."""
    sound, frames = job
    lasts = frames * FRAME_SAMPLES
    sound = to_float(np.pad(sound[:lasts], (0, max(0, lasts - len(sound)))))
    return _encoder(name)(sound).astype(np.float16)
