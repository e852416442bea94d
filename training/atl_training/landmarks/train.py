"""Train the sound-to-weights network.

    python -m atl_training.landmarks.train --shards DIR... --out DIR

Seeded and resumable (OUT/last.pt); writes OUT/speech_landmarks.safetensors, .onnx and metrics.json.
"""
import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atl_face.topology import LIP_PAIRS, MOUTH, SPEECH_WEIGHTS, WEIGHT
from atl_landmark_node.face_model import load_basis
from atl_landmark_node.model import STYLES
from atl_landmark_node.net import SpeechNet
from atl_training.checkpoint import save_checkpoint
from atl_training.landmarks.data import Batches, load_shards
from atl_training.landmarks.export import export
from atl_training.landmarks.judge import judge
from atl_training.tool import run_tool

FRAMES, BATCH = 75, 32  # 3 s, GRID's clip length
LEARNING_RATE = 1.5e-3
POINT_LOSS = 40.0  # points are in eye distances: a millimetre is 0.01, so their squares need lifting
VELOCITY_LOSS = 60.0  # keeps the timing of closures; position alone averages them away
GAP_LOSS = 4.0
SPEAKING_LOSS = 0.1


class MouthLoss(torch.nn.Module):
    """The paper's mouth-weighted landmark loss (section 3.1) on the average face, with velocity and lip gap added."""

    def __init__(self):
        super().__init__()
        basis, neutral = load_basis()
        chosen = basis[[WEIGHT[name] for name in SPEECH_WEIGHTS]]
        self.register_buffer("basis", torch.tensor(chosen, dtype=torch.float32).flatten(1))  # (n, 204)
        gain = torch.full((68, 1), 0.2 / 48)
        gain[MOUTH] = 0.8 / 20
        self.register_buffer("gain", gain)
        rest = [neutral[b, 1] - neutral[a, 1] for a, b in LIP_PAIRS]
        self.register_buffer("rest", torch.tensor(rest, dtype=torch.float32))

    def points(self, weights):
        """(B, T, n) -> displacement (B, T, 68, 3) in eye distances."""
        return (weights @ self.basis).unflatten(-1, (68, 3))

    def gap(self, points):
        """Signed lip gap of the three pairs, (B, T, 3)."""
        return torch.stack([points[..., b, 1] - points[..., a, 1] for a, b in LIP_PAIRS], -1) + self.rest

    def forward(self, answer, weights, speaking):
        spoken = answer[..., :-1]
        p, q = self.points(spoken), self.points(weights)
        where = (self.gain * (p - q) ** 2).sum((-1, -2)).mean()
        speed = (self.gain * (p.diff(dim=1) - q.diff(dim=1)) ** 2).sum((-1, -2)).mean()
        gap = (self.gap(p) - self.gap(q)).abs().mean()
        parts = {
            "weights": (spoken - weights).abs().mean(),
            "points": POINT_LOSS * where,
            "velocity": VELOCITY_LOSS * speed,
            "gap": GAP_LOSS * gap,
            "speaking": SPEAKING_LOSS * F.binary_cross_entropy(answer[..., -1], speaking),
        }
        return sum(parts.values()), parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the studio's clips and loaded real video")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)

    utterances = load_shards(arguments.shards)
    held = [u for u in utterances if u.held]
    net, loss_of = SpeechNet(), MouthLoss()
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, arguments.steps, pct_start=0.05)
    last, begin = arguments.out / "last.pt", 0
    if last.exists():
        state = torch.load(last)
        net.load_state_dict(state["net"]), optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        begin = state["step"]
    batches = Batches([u for u in utterances if not u.held], FRAMES, BATCH, arguments.seed + begin).ahead()
    metrics = judge(net, held) if begin >= arguments.steps else {}
    log, started = SummaryWriter(arguments.out / "log"), time.time()
    for step in tqdm(range(begin, arguments.steps), initial=begin, total=arguments.steps, mininterval=10):
        features, weights, speaking, style = map(torch.from_numpy, next(batches))
        loss, parts = loss_of(net(features, style), weights, speaking)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            for name, value in parts.items():
                log.add_scalar(name, value.item(), step)
        if (step + 1) % 500 == 0 or step + 1 == arguments.steps:
            save_checkpoint({"net": net.state_dict(), "optimiser": optimiser.state_dict(),
                             "schedule": schedule.state_dict(), "step": step + 1}, last)  # fmt: skip
            metrics = judge(net, held)
            tqdm.write(f"{step + 1} {loss.item():.4f} {json.dumps(metrics)}")
    metrics["hours"] = round((time.time() - started) / 3600, 2)
    metrics["utterances"] = {s: sum(u.style == i and not u.held for u in utterances) for i, s in enumerate(STYLES)}
    (arguments.out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, arguments.out / "speech_landmarks.safetensors")
    export(net, arguments.out / "speech_landmarks.onnx")


if __name__ == "__main__":
    run_tool(main)
