"""Compare a view's networks on the same held-out segments; still portrait and warp alone beside them.

    python -m atl_training.renderer.judge --view mouth --weights old.safetensors new.safetensors --data DIR... --out judged.json
"""
import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from atl_diffusion_node.bridge import sample
from atl_diffusion_node.views import VIEWS, View
from atl_training.device import device_of
from atl_training.renderer.batches import Batch, Segments
from atl_training.renderer.net import Renderer, start
from atl_training.tool import run_tool
from atl_training.weights import load_weights

LOOK, MOST = 24, 200  # segments that are judged while training, and by this command: neighbours are of one clip


def drawn(net: Renderer, batch: Batch, steps: int = 1, seed: int = 1) -> torch.Tensor:
    """The frames of a batch, walked in `steps` evaluations from the noised start state."""
    x_1 = start(batch, torch.Generator().manual_seed(seed))
    return sample(lambda x, s, _: net(batch, x, torch.full((len(x), 1, 1, 1), s, device=x.device)).blended, x_1, steps)


@torch.inference_mode()
def validate(net: Renderer, segments: Segments, view: View, most: int, steps: int = 1) -> dict[str, float]:
    """Over `most` held-out segments: PSNR in dB of the view and of the mouth, and the mouth's sharpness (power of its
    Laplacian, ratio to the truth's), of the still portrait, the warp and the network; the share of pixels that it changes."""
    net.eval()
    sums: dict[str, list[float]] = {}
    for index in range(0, len(segments), max(1, len(segments) // most)):
        batch = net.variation.apply(segments.batch([index], view, None).to(device_of(net)))
        portrait = batch.portrait.expand_as(batch.target)
        lips = F.interpolate(batch.rasters[:, :2].amax(1, keepdim=True), scale_factor=2.0)
        lips = (F.max_pool2d(lips, 9, 1, 4) > 0.2).float()
        share = lips.sum().clamp(min=1)
        truth = (detail(batch.target) * lips).sum()
        made = drawn(net, batch, steps)
        for name, picture in (("still", portrait), ("warp", batch.warped), ("net", made)):
            square = ((picture - batch.target) / 2) ** 2
            for where, value in (("", square.mean()), ("_mouth", (square * lips).sum() / (3 * share))):
                sums.setdefault(f"{name}{where}_db", []).append(-10 * torch.log10(value + 1e-8).item())
            sums.setdefault(f"{name}_sharpness", []).append(((detail(picture) * lips).sum() / truth.clamp(min=1e-6)).item())
        sums.setdefault("changed", []).append(((made - batch.warped).abs().amax(1) > 1 / 255).float().mean().item())
    net.train()
    return {name: round(sum(v) / len(v), 3) for name, v in sums.items()}


def detail(picture: torch.Tensor) -> torch.Tensor:
    """The squared Laplacian of the brightness, (B, 1, H, W)."""
    grey = F.pad(picture.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=grey.device)[None, None]
    return F.conv2d(grey, kernel) ** 2


@torch.inference_mode()
def pictures(net: Renderer, segments: Segments, view: View, rows: int = 4) -> torch.Tensor:
    """For TensorBoard, (3, rows H, 4 W) in [0, 1]: portrait, warped, ours, truth."""
    net.eval()
    lines = []
    for index in range(0, len(segments), max(1, -(-len(segments) // rows))):
        batch = net.variation.apply(segments.batch([index], view, None, frames=1).to(device_of(net)))
        lines.append(torch.cat([batch.portrait, batch.warped, drawn(net, batch), batch.target], 3)[0])
    net.train()
    return ((torch.cat(lines, 1) + 1) / 2).clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--view", choices=VIEWS, required=True)
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="networks to compare (safetensors)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that renderer.pack wrote, each judged alone")
    parser.add_argument("--steps", type=int, nargs="+", default=[1], help="network evaluations a frame, each judged alone")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict = {}
    for path in arguments.weights:
        net = Renderer()
        load_weights(net, path)
        for folder in arguments.data:
            val = Segments([folder / "val"])
            result.setdefault(str(path), {})[str(folder)] = {
                str(steps): validate(net, val, VIEWS[arguments.view], MOST, steps) for steps in arguments.steps}  # fmt: skip
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_tool(main)
