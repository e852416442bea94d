"""How well could lips be followed, were every phoneme recognised while it sounds?

    python -m atl_training.landmarks.oracle --shards DIR... --out docs/landmark_oracle.json

`stream`'s network learns from the studio's phonemes and the loudness, which it is told in the place of the spectrum: as they
come, and no further ahead than the look-ahead. What it still misses can't be known so early (or needs a longer training); what
`stream` misses beyond that, it mishears.
"""
import argparse
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from atl_face.errors import UserError
from atl_landmark_node.features import HOP, MELS, log_mel
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STYLES
from atl_landmark_node.net import SpeechNet
from atl_training.checkpoint import complete
from atl_training.corpus.visemes import OF_PHONEME
from atl_training.landmarks.data import Utterance, rows_at, utterance_of
from atl_training.landmarks.encoders import EXCERPT
from atl_training.landmarks.judge import judge
from atl_training.landmarks.losses import MouthLoss
from atl_training.landmarks.models import load_trainee
from atl_training.shards import Sample, read_shards, share_alike
from atl_training.tool import run_tool

PHONEMES = tuple(OF_PHONEME)
BATCH, RATE, LONGEST_GRADIENT = 32, 1.5e-3, 1.0  # as `train`'s
HOP_S = HOP / 16000
SHIPPED = Path(str(resources.files("atl_landmark_node") / "data" / "speech_landmarks.safetensors"))
LOOKAHEADS = 0, 40, 10 * LOOKAHEAD, 120, 200  # ms


@dataclass
class Told:
    """An utterance, and what its network is told of it: (4 T, MELS), see `told_features`."""

    utterance: Utterance
    features: np.ndarray


def told_features(sample: Sample, frames: int) -> np.ndarray:
    """(CURRENT frames, MELS): which of PHONEMES is being said in these 10 ms, one-hot, then the mean and the largest log-mel band
    (how loud it is: the rules open the jaw wider for louder vowels), then zeros."""
    features = np.zeros((CURRENT * frames, MELS), np.float32)
    middles = (np.arange(len(features)) + 0.5) * HOP_S
    arrays = sample.arrays
    for name, start, end in zip(arrays["phoneme_name"], arrays["phoneme_start"], arrays["phoneme_end"], strict=True):
        features[(middles >= start) & (middles < end), PHONEMES.index(str(name))] = 1
    bands = log_mel(sample.audio)[: len(features)]
    features[: len(bands), -2:] = np.stack([bands.mean(1), bands.max(1)], 1)
    return features


def load_told(sources: list[Path]) -> tuple[list[Told], list[Told]]:
    """Clips of the studio that rules move: to learn from, and held out.

    Raises:
        UserError: there is none of one of the two.
    """
    sides = [], []
    for clip in tqdm(read_shards(sources), desc="clips"):
        if clip.facts.get("motion") == "rules" and clip.says_something and not share_alike(clip.facts):
            utterance = utterance_of(clip)
            sides[clip.held_out].append(Told(utterance, told_features(clip, len(utterance.weights))))
    if not all(sides):
        raise UserError("--shards must hold clips of the studio that rules move, some held out: see `atl-corpus make --draft`.")
    return sides


class Oracle(torch.nn.Module):
    """`stream`'s network and its loss, without critic and teachers."""

    def __init__(self, lookahead: int):
        super().__init__()
        self.net, self.loss = SpeechNet(lookahead), MouthLoss()
        self.style = torch.eye(len(STYLES))[:1]

    def forward(self, features, weights, speaking):
        """The parts of the loss of a batch, by name."""
        hidden, _ = self.net.utter(features, self.style.expand(len(features), -1))
        with torch.autocast("cpu", enabled=False):
            spoken, speaks, meet = self.net.parts(hidden)
            return self.loss(spoken.sigmoid(), speaks, meet, weights, speaking)

    def displacement(self, features: np.ndarray) -> np.ndarray:
        """What it moves the average face by, (T, 68, 3) eye distances, told (4 T, MELS)."""
        ahead = np.pad(features, ((0, self.net.lookahead), (0, 0)))
        with torch.inference_mode():
            return self.loss.points(self.net(torch.from_numpy(ahead)[None], self.style)[..., :-1])[0].numpy()


def train(clips: list[Told], lookahead: int, steps: int, seed: int = 0) -> Oracle:
    """An oracle that was told some clips; lookahead: feature frames of 10 ms."""
    torch.manual_seed(seed)
    rng, oracle = np.random.default_rng(seed), Oracle(lookahead)
    optimiser = torch.optim.AdamW(oracle.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.05)
    for _ in tqdm(range(steps), f"{10 * lookahead} ms", mininterval=10):
        rows = [_excerpt(rng, clips, lookahead) for _ in range(BATCH)]
        batch = [torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)]
        with torch.autocast("cpu", torch.bfloat16):
            parts = oracle(*batch)
        optimiser.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(oracle.parameters(), LONGEST_GRADIENT)
        optimiser.step()
        schedule.step()
    return oracle.eval()


def _excerpt(rng: np.random.Generator, clips: list[Told], lookahead: int) -> tuple[np.ndarray, ...]:
    """features (CURRENT EXCERPT + lookahead, MELS), weights (EXCERPT, n), speaking (EXCERPT,) of any clip; then zeros."""
    clip = clips[rng.integers(len(clips))]
    utterance = clip.utterance
    frames = int(rng.integers(max(1, len(utterance.weights) - EXCERPT + 1))) + np.arange(EXCERPT)
    heard = CURRENT * frames[0] + np.arange(CURRENT * EXCERPT + lookahead)
    parts = (clip.features, heard), (utterance.weights, frames), (utterance.speaking, frames)
    return tuple(rows_at(array, places).astype(np.float32) for array, places in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the studio's clips")
    parser.add_argument("--lookahead", type=int, nargs="+", default=LOOKAHEADS, metavar="MS", help="multiples of 20")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="`stream`'s, for a row on the same clips (safetensors)")
    parser.add_argument("--out", type=Path, required=True, help="finished rows of as many clips and steps are kept")
    arguments = parser.parse_args()
    if min(arguments.lookahead) < 0 or any(ms % 20 for ms in arguments.lookahead) or arguments.steps < 1:
        raise UserError("--lookahead must be multiples of 20 ms, 0 or more, and --steps 1 or more.")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    stream = load_trainee(arguments.weights)
    learnt, held = load_told(arguments.shards)
    budget = {"clips": len(learnt), "held_out": len(held), "steps": arguments.steps, "seed": arguments.seed}
    result = _kept(arguments.out, budget) or budget | {"told": {}}

    def keep() -> None:
        with complete(arguments.out) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n")

    result |= judge(stream.displacement, [clip.utterance for clip in held], 0)["rules"]  # "net", and the baselines
    keep()
    for ms in arguments.lookahead:
        if str(ms) not in result["told"]:
            result["told"][str(ms)] = _figures(train(learnt, ms // 10, arguments.steps, arguments.seed), held)
            keep()
    print(json.dumps(result, indent=1))


def _figures(oracle: Oracle, held: list[Told]) -> dict:
    """`judge`'s of an oracle."""
    features = {clip.utterance.name: clip.features for clip in held}
    judged = judge(lambda utterance: oracle.displacement(features[utterance.name]), [clip.utterance for clip in held], 0)
    return judged["rules"]["net"]


def _kept(path: Path, budget: dict) -> dict | None:
    """What an earlier run of this budget wrote."""
    before = json.loads(path.read_text()) if path.exists() else {}
    return before if before.items() >= budget.items() else None


if __name__ == "__main__":
    run_tool(main)
