"""Train the sync expert.

    python -m atl_training.sync.train --data sync --out sx --threads 1

Seeded and resumable (OUT/last.pt); writes OUT/sync_expert.onnx and metrics.json. Shares nothing with a critic: what it judges
was never trained against it.
"""
import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atl_evaluation.sync import MEL_PER_FRAME, SIZE, mean_distances, picture_input, score_of, sound_input
from atl_face.pcm import to_float
from atl_landmark_node.features import MELS
from atl_training.checkpoint import load_checkpoint, refuse_others, save_checkpoint
from atl_training.device import add_device_argument, choose_device, device_of, on_device
from atl_training.landmarks.export import check_export
from atl_training.schedule import one_cycle
from atl_training.sync.data import Batches, Clip, centre, load
from atl_training.sync.net import SyncNet
from atl_training.tool import run_tool

FRAMES, BATCH = 40, 14  # 1.6 s: 36 windows, enough that other offsets of the same clip are most of what is hard
OFFSETS = 12  # frames either way that an excerpt's own offset is told from
LEARNING_RATE = 1.5e-3
ASKED = "steps", "real_share", "seed"  # what a run can't change when it goes on


def contrast(seen, heard, log_scale) -> dict[str, torch.Tensor]:
    """Two losses of embeddings (B, N, n). `window`: InfoNCE both ways, every window against all of the batch, the same clip's
    at other times among them. `excerpt`: the mean likeness at the true offset against that at other offsets and with other
    clips' sound: what the protocol looks at."""
    batch, count = seen.shape[:2]
    scale = log_scale.clamp(max=5.0).exp()  # 150
    every = scale[0] * seen.flatten(0, 1) @ heard.flatten(0, 1).T
    own = torch.arange(len(every), device=every.device)
    within = seen @ heard.transpose(1, 2)  # (B, N, N)
    late = [within.diagonal(-d, 1, 2).mean(1) for d in range(-OFFSETS, OFFSETS + 1)]
    foreign = torch.einsum("bnc,dnc->bd", seen, heard) / count
    foreign = foreign[~torch.eye(batch, dtype=torch.bool, device=foreign.device)].view(batch, batch - 1)
    means = scale[1] * torch.cat([torch.stack(late, 1), foreign], 1)
    return {"window": (F.cross_entropy(every, own) + F.cross_entropy(every.T, own)) / 2,
            "excerpt": F.cross_entropy(means, own.new_full((batch,), OFFSETS))}  # fmt: skip


def measure(net: SyncNet, held: list[Clip]) -> dict:
    """On whole held-out clips, filmed and drawn: share whose offset 0 is found to a frame, confidence with their own sound and
    with the next clip's, share in which their own is the better."""
    net.eval()
    result = {}
    for name, real in (("filmed", True), ("drawn", False)):
        clips = [c for c in held if c.real == real]
        rows = []
        for clip, other in zip(clips, clips[1:] + clips[:1], strict=True):
            sounds = [sound_input(to_float(c.sound), len(clip.crops)) for c in (clip, other)]
            crops, *sounds = on_device([picture_input(centre(clip.crops)), *sounds], device_of(net))
            with torch.inference_mode():
                seen = net.pictures(crops[None])[0].cpu().numpy()
                heard = [net.sounds(s[None])[0].cpu().numpy() for s in sounds]
            own, foreign = (score_of(mean_distances(seen, h)) for h in heard)
            rows.append((abs(own.offset) <= 1, own.offset, own.confidence, foreign.confidence,
                         own.confidence > foreign.confidence))  # fmt: skip
        names = ("found", "offset", "own", "foreign", "better")
        result[name] = {k: round(float(v), 3) for k, v in zip(names, np.mean(rows, axis=0), strict=True)} if rows else {}
    net.train()
    return result


def export(net: SyncNet, path: Path) -> None:
    """Write a CPU's network as ONNX, any number of frames; raises if the graph disagrees with torch (`check_export`)."""
    net.eval()
    pictures, features = torch.randn(1, 31, SIZE, SIZE), torch.randn(1, 31 * MEL_PER_FRAME, MELS)
    torch.onnx.export(net, (pictures, features), path, input_names=["pictures", "features"], output_names=["seen", "heard"],
                      dynamic_axes={"pictures": {1: "frames"}, "features": {1: "features"}, "seen": {1: "windows"},
                                    "heard": {1: "windows"}}, opset_version=17, dynamo=False)  # fmt: skip
    inputs = torch.cat([pictures, pictures], 1), torch.cat([features, features], 1)  # another length than traced
    with torch.inference_mode():
        check_export(path, [(inputs, net(*inputs))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that sync.data wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--real-share", type=float, default=0.5, help="of a batch that is filmed (%(default)s)")
    add_device_argument(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asked = {name: getattr(arguments, name) for name in ASKED} | {"data": [str(path) for path in arguments.data]}
    device = choose_device(arguments.device)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)

    clips = load(arguments.data)
    held = [c for c in clips if c.held]
    net = SyncNet().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=0.05)
    schedule = one_cycle(optimiser, LEARNING_RATE, arguments.steps, 0.1)
    last, begin, hours = arguments.out / "last.pt", 0, 0.0
    if last.exists():
        state = load_checkpoint(last)
        refuse_others(arguments.out, state.get("arguments", {}), asked)
        net.load_state_dict(state["net"]), optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        begin, hours = state["step"], state["hours"]
    seed = [arguments.seed, begin]  # a resumed run draws anew
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    batches = Batches([c for c in clips if not c.held], FRAMES, BATCH, seed, arguments.real_share)
    log, started = SummaryWriter(arguments.out / "log"), time.time() - 3600 * hours
    for step in tqdm(range(begin, arguments.steps), str(device), arguments.steps, initial=begin, mininterval=10):
        pictures, features = on_device(batches.draw(), device)
        with torch.autocast(device.type, torch.bfloat16):
            seen, heard = net(pictures, features)
        parts = contrast(seen.float(), heard.float(), net.log_scale)
        optimiser.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            for name, value in parts.items():
                log.add_scalar(name, value.item(), step)
        if (step + 1) % 500 == 0 or step + 1 == arguments.steps:
            hours = (time.time() - started) / 3600
            save_checkpoint({"net": net.state_dict(), "optimiser": optimiser.state_dict(),
                             "schedule": schedule.state_dict(), "step": step + 1, "hours": hours,
                             "arguments": asked}, last)  # fmt: skip
            told = " ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
            tqdm.write(f"{step + 1} {told} {json.dumps(measure(net, held))}")
    metrics = measure(net, held) | {
        "steps": arguments.steps, "seed": arguments.seed, "real_share": arguments.real_share, "hours": round(hours, 2),
        "clips": {name: {part: sum(c.real == real and c.held == is_held for c in clips)
                         for part, is_held in (("train", False), ("held out", True))}
                  for name, real in (("filmed", True), ("drawn", False))},
    }  # fmt: skip
    (arguments.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    export(net.cpu(), arguments.out / "sync_expert.onnx")


if __name__ == "__main__":
    run_tool(main)
