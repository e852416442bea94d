"""Phonemes heard every 10 ms, and where in a sound a known row of them lies."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_landmark_node.features import HOP, MELS, log_mel
from atl_training.corpus.phonemes import Segment
from atl_training.corpus.speech import at_level
from atl_training.corpus.visemes import OF_PHONEME

FRAME_S = 0.01  # of log-mel features
PHONES = sorted(set(OF_PHONEME) - {"ax"})
ROW = {name: row for row, name in enumerate(PHONES)} | {"ax": PHONES.index("ah")}  # dictionaries don't tell these two apart
PAUSE = ROW["pau"]
LEAST = 2  # frames of a phoneme; a pause may have none
DILATIONS = 1, 2, 4, 8, 4, 2, 1  # it hears .46 s to either side


class Ear(nn.Module):
    """Log-mel features (B, T, MELS) to logits (B, T, len(PHONES)): residual dilated convolutions (Oord et al., "WaveNet", 2016;
    these aren't causal), 0.7 M parameters."""

    def __init__(self, width: int = 128):
        super().__init__()
        self.front = nn.Conv1d(MELS, width, 5, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation),
                          nn.ReLU(), nn.Dropout(0.1), nn.Conv1d(width, width, 1)) for dilation in DILATIONS
        )  # fmt: skip
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(width, len(PHONES), 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        heard = self.front(features.transpose(1, 2))
        for block in self.blocks:
            heard = heard + block(heard)
        return self.head(heard).transpose(1, 2)

    def hear(self, sound: np.ndarray) -> np.ndarray:
        """Log probabilities (n // HOP, len(PHONES)) in a sound (n,), 16 kHz."""
        with torch.inference_mode():
            return self(torch.from_numpy(log_mel(sound))[None])[0].log_softmax(-1).numpy()


def load_ear(path: Path) -> Ear:
    """What `atl-corpus aligner` wrote. Raises UserError: the file is something else."""
    ear = Ear()
    try:
        ear.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} can't be read as an aligner: make one with `atl-corpus aligner`.") from error
    return ear.eval()


def spoken_at(segments: list[Segment], count: int) -> np.ndarray:
    """Rows of PHONES (count,) in the middle of each frame."""
    rows, middles = np.full(count, PAUSE), (np.arange(count) + 0.5) * FRAME_S
    for start, end, name in segments:
        rows[(middles >= start) & (middles < end)] = ROW[name]
    return rows


def refined(ear: Ear, sound: np.ndarray, segments: list[Segment]) -> list[Segment]:
    """The same phonemes at better times: halfway between those given and those at which the ear hears them, since two that err
    differently err less together. Pauses lie where there is room between them.

    Raises:
        ValueError: the sound is too short for so many phonemes.
    """
    names = [name for *_, name in segments]
    if len(sound) // HOP < LEAST * len(names):
        raise ValueError("it is too short for its text")
    edges = names[0] != "pau", names[-1] != "pau"
    found = best_path(ear.hear(at_level(sound)), ["pau"] * edges[0] + names + ["pau"] * edges[1])[edges[0] :]
    out, at = [], 0.0
    for (start, end, name), (first, last) in zip(segments, found, strict=False):
        if name == "pau":
            continue
        start, end = (start + FRAME_S * first) / 2, (end + FRAME_S * last) / 2
        out += [(at, start, "pau")] * (start > at + 1e-6) + [(start, end, name)]
        at = end
    duration = len(sound) / SAMPLE_RATE
    return out + [(at, duration, "pau")] * (duration > at)


def best_path(heard: np.ndarray, names: list[str]) -> list[tuple[int, int]]:
    """First frame and end of every name, in a row that covers all frames (Viterbi, 1967).

    Args:
        heard: log probabilities (T, len(PHONES)). names: phonemes of LEAST frames or more; a `pau` may have none (start = end).
    """
    owner = np.repeat(np.arange(len(names)), [1 if name == "pau" else LEAST for name in names])  # of each state
    paused = np.array([names[index] == "pau" for index in owner])
    likely = heard[:, [ROW[names[index]] for index in owner]]
    states = np.arange(len(owner))
    over = np.r_[[False, False], paused[1:-1]][: len(owner)]  # states that may follow the last but one: a pause is left out
    score = np.full(len(states), -np.inf)
    score[0] = likely[0, 0]
    if paused[0] and len(states) > 1:
        score[1] = likely[0, 1]
    came = np.zeros(likely.shape, int)
    for frame in range(1, len(likely)):
        before = np.r_[-np.inf, -np.inf, score]
        ways = np.stack([score, before[1:-1], np.where(over, before[:-2], -np.inf)])
        steps = ways.argmax(0)
        came[frame], score = states - steps, ways[steps, states] + likely[frame]
    state = states[-1] - int(paused[-1] and len(states) > 1 and score[-2] > score[-1])
    path = np.zeros(len(likely), int)
    for frame in range(len(likely) - 1, -1, -1):
        path[frame] = owner[state]
        state = came[frame, state]
    starts = np.searchsorted(path, np.arange(len(names) + 1))
    return list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
