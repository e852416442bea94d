"""How well could lips be followed, were every phoneme recognised as soon as it begins?

    python -m atl_training.landmarks.oracle --shards DIR... --out docs/landmark_oracle.json

`stream`'s network learns from the studio's phonemes and the loudness, which it is told in the place of the sound: as they come,
and no further ahead than the look-ahead; beside it, one that hears (log-mel), with the same clips, steps and loss (that of
`MouthLoss.forward` alone). No ear knows a phoneme from its first 10 ms, and the times told are the very ones that moved the lips:
a bound, and not a tight one.
"""
import argparse
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from atl_evaluation.provenance import sha256_of
from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_landmark_node.features import HOP, MELS, SILENCE, log_mel
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STYLES
from atl_landmark_node.net import SpeechNet
from atl_training.checkpoint import complete
from atl_training.corpus.visemes import OF_PHONEME
from atl_training.landmarks.data import Utterance, rows_at, utterance_of
from atl_training.landmarks.encoders import EXCERPT
from atl_training.landmarks.judge import judge
from atl_training.landmarks.losses import MouthLoss
from atl_training.landmarks.models import StreamTrainee, load_trainee
from atl_training.landmarks.train import BATCH, clip_gradients
from atl_training.schedule import one_cycle
from atl_training.shards import Sample, read_shards, share_alike
from atl_training.tool import run_tool

PHONEMES = tuple(OF_PHONEME)
LOOKAHEADS = 0, 40, 80, 120, 200  # ms
HEARS = "hears"  # the row of the network that isn't told
FEWEST_STEPS = 100
SHIPPED = Path(str(resources.files("atl_landmark_node") / "data" / "speech_landmarks.safetensors"))


@dataclass
class Clip:
    """An utterance of T frames, and what a network may know of it, (CURRENT T, MELS) each: `told_features`, `heard_features`."""

    utterance: Utterance
    told: np.ndarray
    heard: np.ndarray


def told_features(sample: Sample, frames: int) -> np.ndarray:
    """(CURRENT frames, MELS): which of PHONEMES is said in the middle of these 10 ms, one-hot, then the mean and the largest
    log-mel band (the rules open the jaw wider for louder vowels). What the table of visemes doesn't know is a pause."""
    features = np.zeros((CURRENT * frames, MELS), np.float32)
    middles = (np.arange(len(features)) + 0.5) * HOP / SAMPLE_RATE
    arrays = sample.arrays
    for name, start, end in zip(arrays["phoneme_name"], arrays["phoneme_start"], arrays["phoneme_end"], strict=True):
        known = str(name) if str(name) in PHONEMES else "pau"
        features[(middles >= start) & (middles < end), PHONEMES.index(known)] = 1
    bands = heard_features(sample, frames)
    features[:, -2:] = np.stack([bands.mean(1), bands.max(1)], 1)
    return features


def heard_features(sample: Sample, frames: int) -> np.ndarray:
    """Log-mel (CURRENT frames, MELS)."""
    return rows_at(log_mel(sample.audio), np.arange(CURRENT * frames), SILENCE).astype(np.float32)


def load_clips(sources: list[Path]) -> tuple[list[Clip], list[Clip]]:
    """Clips of the studio that rules move and in which something is said, without share-alike ones: to learn from, and held out.

    Raises:
        UserError: one of the two is empty.
    """
    sides = [], []
    for sample in tqdm(read_shards(sources), desc="clips"):
        if sample.facts.get("motion") == "rules" and sample.says_something and not share_alike(sample.facts):
            utterance = utterance_of(sample)
            frames = len(utterance.weights)
            sides[sample.held_out].append(Clip(utterance, told_features(sample, frames), heard_features(sample, frames)))
    if not all(sides):
        raise UserError("--shards must hold clips of the studio that rules move, some held out: see `atl-corpus make --draft`.")
    return sides


class Oracle(torch.nn.Module):
    """`stream`'s network, and `MouthLoss.forward` alone for a loss.

    Args:
        lookahead: feature frames of 10 ms. hears: log-mel, instead of being told.
    """

    def __init__(self, lookahead: int, hears: bool = False):
        super().__init__()
        self.net, self.loss, self.hears = SpeechNet(lookahead), MouthLoss(), hears
        self.style = torch.eye(len(STYLES))[:1]

    def put(self, clip: Clip) -> np.ndarray:
        """What of a clip it knows, (CURRENT T, MELS)."""
        return clip.heard if self.hears else clip.told

    def forward(self, features, weights, speaking):
        """The parts of the loss, by name; features (B, CURRENT T + lookahead, MELS), weights (B, T, n), speaking (B, T)."""
        hidden, _ = self.net.utter(features, self.style.expand(len(features), -1))
        with torch.autocast("cpu", enabled=False):
            spoken, speaks, meet = self.net.parts(hidden)
            return self.loss(spoken.sigmoid(), speaks, meet, weights, speaking)

    def displacement(self, features: np.ndarray) -> np.ndarray:
        """What it moves the average face by, (T, 68, 3) eye distances, of (CURRENT T, MELS). Without `net.REACH`, which makes up
        for what a network that mishears holds back."""
        ahead = rows_at(features, np.arange(len(features) + self.net.lookahead), SILENCE).astype(np.float32)
        with torch.inference_mode():
            spoken, _, meet = self.net.parts(self.net.utter(torch.from_numpy(ahead)[None], self.style)[0])
            return self.loss.points(self.net.shutter(spoken.sigmoid(), meet.sigmoid()))[0].numpy()


def train(oracle: Oracle, clips: list[Clip], steps: int, seed: int = 0) -> Oracle:
    """An oracle after so many steps of BATCH excerpts; seed: of what is drawn."""
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(oracle.parameters(), StreamTrainee.learning_rate, weight_decay=0.02)
    schedule = one_cycle(optimiser, StreamTrainee.learning_rate, steps, 0.05)
    for _ in tqdm(range(steps), f"{10 * oracle.net.lookahead} ms", mininterval=10):
        rows = [_excerpt(rng, clips[rng.integers(len(clips))], oracle) for _ in range(BATCH)]
        batch = [torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)]
        with torch.autocast("cpu", torch.bfloat16):
            parts = oracle(*batch)
        optimiser.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        clip_gradients(oracle)
        optimiser.step()
        schedule.step()
    return oracle.eval()


def _excerpt(rng: np.random.Generator, clip: Clip, oracle: Oracle) -> tuple[np.ndarray, ...]:
    """features (CURRENT EXCERPT + lookahead, MELS), weights (EXCERPT, n), speaking (EXCERPT,); beyond the clip's end, rest."""
    utterance = clip.utterance
    frames = int(rng.integers(max(1, len(utterance.weights) - EXCERPT + 1))) + np.arange(EXCERPT)
    known = CURRENT * frames[0] + np.arange(CURRENT * EXCERPT + oracle.net.lookahead)
    parts = (oracle.put(clip), known, SILENCE), (utterance.weights, frames, 0), (utterance.speaking, frames, 0)
    return tuple(rows_at(*part).astype(np.float32) for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the studio's clips")
    parser.add_argument("--lookahead", type=int, nargs="+", default=LOOKAHEADS, metavar="MS", help="multiples of 20")
    parser.add_argument("--steps", type=int, default=400, help="of each network")
    parser.add_argument("--seed", type=int, default=0, help="of weights and excerpts")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="`stream`'s, for a row on the same clips (safetensors)")
    parser.add_argument("--out", type=Path, required=True, help="finished rows of these very settings are kept")
    arguments = parser.parse_args()
    if min(arguments.lookahead) < 0 or any(ms % 20 for ms in arguments.lookahead):
        raise UserError("--lookahead must be multiples of 20 ms, 0 or more.")
    if arguments.steps < FEWEST_STEPS or arguments.seed < 0:
        raise UserError(f"--steps must be {FEWEST_STEPS} or more, --seed 0 or more.")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    stream = load_trainee(arguments.weights)
    asked = {"shards": [str(path) for path in arguments.shards], "steps": arguments.steps, "seed": arguments.seed,
             "weights": sha256_of(arguments.weights)}  # fmt: skip
    result = _kept(arguments.out, asked)
    learnt, held = load_clips(arguments.shards)
    result |= {"clips": len(learnt)} | _judged(stream.displacement, held)  # "net", and the baselines

    def row(name: str, oracle: Oracle) -> None:
        if name not in result["rows"]:
            train(oracle, learnt, arguments.steps, arguments.seed)
            known = {id(clip.utterance): oracle.put(clip) for clip in held}
            result["rows"][name] = _judged(lambda utterance: oracle.displacement(known[id(utterance)]), held)["net"]
            with complete(arguments.out) as partial:
                partial.write_text(json.dumps(result, indent=1) + "\n")

    for ms in arguments.lookahead:
        torch.manual_seed(arguments.seed)
        row(str(ms), Oracle(ms // 10))
    torch.manual_seed(arguments.seed)
    row(HEARS, Oracle(LOOKAHEAD, hears=True))
    print(json.dumps(result, indent=1))


def _judged(displacement, held: list[Clip]) -> dict:
    """`judge`'s figures of the clips; UserError, if none of them can be judged."""
    judged = judge(displacement, [clip.utterance for clip in held], 0)
    if "rules" not in judged:
        raise UserError("No held-out clip of --shards can be judged: one must speak for a second.")
    return judged["rules"]


def _kept(path: Path, asked: dict) -> dict:
    """What an earlier run with these settings wrote, or its beginning; UserError: there is something else."""
    if not path.exists():
        return asked | {"rows": {}}
    try:
        before = json.loads(path.read_text())
        same = {name: before[name] for name in asked} == asked and "rows" in before
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise UserError(f"{path} holds something else than an oracle's figures with these settings: choose another --out.")
    return before


if __name__ == "__main__":
    run_tool(main)
