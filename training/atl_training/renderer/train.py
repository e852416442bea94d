"""Train the renderer: identity encoder and U-Net together, as a bridge from the noised warped portrait to the frame.

    python -m atl_training.renderer.train --data DIR --out DIR [--steps 20000]

Seeded and resumable (OUT/last.pt); writes OUT/renderer.safetensors (moving average of the weights) and metrics.json.
"""
import argparse
import copy
import json
import time
from dataclasses import fields
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atl_diffusion_node.bridge import between, start_state
from atl_diffusion_node.unet import GuidedUNet, IdentityEncoder
from atl_face.errors import UserError
from atl_training.checkpoint import save_checkpoint
from atl_training.renderer.batches import Batch, Segments, stream
from atl_training.renderer.critic import PatchCritic, hinge
from atl_training.tool import run_tool

BATCH, CLIP = 6, 2  # segments, and frames of each: many faces teach more than many frames of a few
LEARNING_RATE, CRITIC_RATE = 1e-3, 5e-4
START_SHARE = 0.5  # of the segments are trained at s = 1, where every frame starts; the rest anywhere on the bridge
MOUTH_LOSS = 8.0  # extra weight of pixels between and on the lips: they are 3 % of a window, and what the net is for
CRITIC_LOSS = 0.03
CRITIC_FROM = 0.25  # share of the steps after which the critic joins: first right, then sharp
GRADIENT_LIMIT = 1.0  # norm; without normalisation layers a bad batch could throw the net far off
AVERAGE = 0.998  # of the moving average that is kept: the critic makes single states noisy
EVERY = 500  # steps between validations and checkpoints


class Renderer(nn.Module):
    """Both networks, named as the runtime's weights file names them."""

    def __init__(self):
        super().__init__()
        self.identity = IdentityEncoder()
        self.unet = GuidedUNet()

    def forward(self, batch: Batch, x_s, s):
        """x0_hat for B segments of T frames; s (B T, 1, 1, 1)."""
        features = [f.repeat_interleave(batch.frames, 0) for f in self.identity(batch.portrait, batch.portrait_rasters)]
        half = F.avg_pool2d(batch.mask, 2)
        guides = torch.cat([batch.rasters, half, s.expand(-1, 1, *half.shape[2:])], 1)
        return self.unet(x_s, batch.warped, guides, features, batch.frames)[0]


def edges(a, b, weight):
    """Difference of the horizontal and vertical gradients of two pictures, weighted by place."""
    across = ((a.diff(dim=-1) - b.diff(dim=-1)).abs() * weight[..., 1:]).mean()
    return across + ((a.diff(dim=-2) - b.diff(dim=-2)).abs() * weight[..., 1:, :]).mean()


def reconstruction(answer, batch: Batch):
    """L1 and gradients at two scales, with the mouth weighted, and the change from frame to frame."""
    lips = F.interpolate(batch.rasters[:, :2].amax(1, keepdim=True), scale_factor=2.0, mode="nearest")
    weight = 1 + MOUTH_LOSS * F.max_pool2d(lips, 5, 1, 2)
    pixel = ((answer - batch.target).abs() * weight).mean()
    halves = [F.avg_pool2d(t, 2) for t in (answer, batch.target, weight)]
    edge = edges(answer, batch.target, weight) + edges(*halves)
    clips, truth = (t.unflatten(0, (-1, batch.frames)).diff(dim=1) for t in (answer, batch.target))
    return pixel + edge + 0.5 * (clips - truth).abs().mean()


def noised(batch: Batch, generator: torch.Generator):
    """x_s and s: one noise and one time for all frames of a segment, as at run time."""
    count = len(batch.portrait)
    noise = torch.randn(count, *batch.target.shape[1:], generator=generator).repeat_interleave(batch.frames, 0)
    anywhere = torch.rand(count, generator=generator)
    s = torch.where(torch.rand(count, generator=generator) < START_SHARE, torch.ones(()), anywhere)
    s = s.repeat_interleave(batch.frames).view(-1, 1, 1, 1)
    return between(batch.target, start_state(batch.warped, batch.mask, noise), s), s


@torch.inference_mode()
def validate(net: Renderer, segments: Segments, most: int = 40) -> dict:
    """PSNR in dB at s = 1 over whole held-out crops and their mouths; still portrait and warp beside the network."""
    net.eval()
    generator = torch.Generator().manual_seed(1)
    sums: dict[str, list[float]] = {}
    for index in range(0, len(segments), max(1, len(segments) // most)):
        batch = segments.batch([index], None, None)
        noise = torch.randn(1, *batch.target.shape[1:], generator=generator)
        s = torch.ones(batch.frames, 1, 1, 1)
        made = net(batch, start_state(batch.warped, batch.mask, noise), s)
        lips = F.interpolate(batch.rasters[:, :2].amax(1, keepdim=True), scale_factor=2.0)
        lips = (F.max_pool2d(lips, 9, 1, 4) > 0.2).float()
        for name, picture in (("still", batch.portrait), ("warp", batch.warped), ("net", made)):
            square = ((picture - batch.target) / 2) ** 2
            for where, value in (("crop", square.mean()), ("mouth", (square * lips).sum() / (3 * lips.sum() + 1e-6))):
                sums.setdefault(f"{name}_{where}_db", []).append(-10 * torch.log10(value + 1e-8).item())
    net.train()
    return {name: round(sum(v) / len(v), 2) for name, v in sums.items()}


def average_into(average: Renderer, net: Renderer) -> None:
    """Exponential moving average of the weights."""
    for mine, theirs in zip(average.parameters(), net.parameters(), strict=True):
        mine.data.lerp_(theirs.data, 1 - AVERAGE)


def channels_last(batch: Batch) -> Batch:
    return Batch(**{f.name: getattr(batch, f.name).contiguous(memory_format=torch.channels_last)
                    for f in fields(batch)})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that renderer.pack wrote")
    parser.add_argument("--shares", type=float, nargs="+", help="how often each folder is drawn from; as its size says")
    parser.add_argument("--begin", type=Path, help="last.pt of another run, whose networks this one goes on with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true",
                        help="autocast: up to twice as fast on Zen 4 and 5, half as fast on Xeons without AMX")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.shares and len(arguments.shares) != len(arguments.data):
        raise UserError("--shares needs one number for each folder of --data.")
    train = Segments([folder / "train" for folder in arguments.data], arguments.shares)
    val = Segments([folder / "val" for folder in arguments.data])

    net, critic = (m.to(memory_format=torch.channels_last) for m in (Renderer(), PatchCritic()))
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, betas=(0.8, 0.99), weight_decay=0.01)
    critic_optimiser = torch.optim.AdamW(critic.parameters(), CRITIC_RATE, betas=(0.5, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, arguments.steps, pct_start=0.02,
                                                   final_div_factor=50)  # fmt: skip
    keep = {"net": net, "average": average, "critic": critic, "optimiser": optimiser,
            "critic_optimiser": critic_optimiser, "schedule": schedule}  # fmt: skip
    if arguments.begin:
        state = torch.load(arguments.begin)
        for name in ("net", "average", "critic"):
            keep[name].load_state_dict(state[name])
    last, begin, hours = arguments.out / "last.pt", 0, 0.0
    if last.exists():
        state = torch.load(last)
        for name, part in keep.items():
            part.load_state_dict(state[name])
        begin, hours = state["step"], state["hours"]
    generator = torch.Generator().manual_seed(arguments.seed + begin)
    batches = stream(train, BATCH, CLIP, arguments.seed + begin)
    log, started = SummaryWriter(arguments.out / "log"), time.time()
    for step in tqdm(range(begin, arguments.steps), initial=begin, total=arguments.steps, mininterval=30):
        batch = channels_last(next(batches))
        x_s, s = noised(batch, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
            answer = net(batch, x_s, s)
        answer = answer.float()
        loss = reconstruction(answer, batch)
        if step >= CRITIC_FROM * arguments.steps:
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
                critic_loss = hinge(critic, batch.target, answer, batch.rasters)
            critic_optimiser.zero_grad(set_to_none=True)
            critic_loss.backward()
            critic_optimiser.step()
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
                loss = loss - CRITIC_LOSS * critic(answer, batch.rasters).float().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_LIMIT)
        optimiser.step()
        schedule.step()
        average_into(average, net)
        if step % 50 == 0:
            log.add_scalar("loss", loss.item(), step)
        if (step + 1) % EVERY == 0 or step + 1 == arguments.steps:
            spent = hours + (time.time() - started) / 3600
            save_checkpoint({n: p.state_dict() for n, p in keep.items()} | {"step": step + 1, "hours": spent}, last)
            metrics = validate(average, val) | {"step": step + 1, "hours": round(spent, 2)}
            (arguments.out / "metrics.json").write_text(json.dumps(metrics, indent=1))
            save_file({k: v.contiguous() for k, v in average.state_dict().items()},
                      arguments.out / "renderer.safetensors")  # fmt: skip
            tqdm.write(json.dumps(metrics))


if __name__ == "__main__":
    run_tool(main)
