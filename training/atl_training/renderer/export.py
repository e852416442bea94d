"""Export a view's trained networks to ONNX (identity.onnx, unet.onnx) and check what the runtimes make of them against torch.

    python -m atl_training.renderer.export --view face --weights OUT/renderer.safetensors \\
        --out atl_diffusion_node/atl_diffusion_node/data

An int8 graph that is there is of the old weights then, and goes: `atl_training.renderer.quantise` makes it anew.
"""
import argparse
import shutil
from pathlib import Path

import numpy as np
import torch

from atl_diffusion_node.runtime import INT8, WINDOWS, OnnxRuntime, OpenVinoRuntime, Runtime, memory_shapes
from atl_diffusion_node.unet import identity_shapes
from atl_training.renderer.net import Renderer
from atl_training.tool import run_tool
from atl_training.weights import load_weights

LEAST_DB = {"f32": 80.0, "bf16": 35.0, "int8": 30.0}
"""Tolerance of each precision: what a runtime computes may differ from torch's float32 by a power that is so much below
the output's own."""


class _Identity(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, portrait, portrait_rasters):
        return tuple(self.net(portrait, portrait_rasters))


class _Step(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x_s, warped, guides, f0, f1, f2, f3, m0, m1, m2):
        change, flow, memory = self.net(x_s, warped, guides, [f0, f1, f2, f3], [m0, m1, m2])
        return (change, flow, *memory)


def inputs(window: tuple[int, int]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Random inputs of the identity encoder and of the U-Net, by name."""
    half = [side // 2 for side in window]
    identity = {"portrait": torch.rand(1, 3, *window) * 2 - 1, "portrait_rasters": torch.rand(1, 3, *half)}
    unet = {name: torch.rand(1, 3, *window) * 2 - 1 for name in ("x_s", "warped")} | {"guides": torch.rand(1, 5, *half)}
    unet |= {f"f{i}": torch.randn(1, *s) for i, s in enumerate(identity_shapes(*window))}
    return identity, unet | {f"m{i}": torch.randn(1, *s) for i, s in enumerate(memory_shapes(*window))}


def export(net: Renderer, folder: Path, view: str) -> None:
    """Write both graphs of a view into folder/view; raises where a runtime computes something else than torch, see LEAST_DB."""
    net = net.eval().float()
    modules, names = (_Identity(net.identity), _Step(net.unet)), ("identity", "unet")
    outputs = [f"f{i}" for i in range(4)], ["change", "flow", *(f"next_m{i}" for i in range(3))]
    (folder / view).mkdir(parents=True, exist_ok=True)
    (folder / view / INT8).unlink(missing_ok=True)  # the old weights'
    for name, module, example, made in zip(names, modules, inputs(WINDOWS[view]), outputs, strict=True):
        path = folder / view / f"{name}.onnx"
        torch.onnx.export(module.eval(), tuple(example.values()), path, input_names=list(example), output_names=made,
                          opset_version=17, dynamo=False)  # fmt: skip
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for kind, precision in ((OpenVinoRuntime, "f32"), (OpenVinoRuntime, "bf16"), (OnnxRuntime, "f32")):
        runtime = kind(1, precision, folder, view)
        least = check(runtime, modules, LEAST_DB[precision])
        print(f"{runtime.name}: off by {-least:.0f} dB, {-LEAST_DB[precision]:.0f} dB are allowed")


def check(runtime: Runtime, modules: tuple, least_db: float) -> float:
    """Signal-to-noise ratio in dB of the runtime's worst output of both graphs; raises where it is below `least_db`."""
    examples = inputs(runtime.window)
    with torch.inference_mode():
        expected = [t.numpy() for net, example in zip(modules, examples, strict=True) for t in net(*example.values())]
    (portrait, rasters), (x_s, warped, guides, *rest) = ([t.numpy() for t in example.values()] for example in examples)
    change, flow, memory = runtime.step(x_s, warped, guides, rest[:4], rest[4:])
    made = [*runtime.identity(portrait, rasters), change, flow, *memory]
    ratios = [snr(a, b) for a, b in zip(made, expected, strict=True)]
    if min(ratios) < least_db:
        raise AssertionError(f"{runtime.name} is off: {min(ratios):.1f} dB")
    return min(ratios)


def snr(made: np.ndarray, expected: np.ndarray) -> float:
    """Signal-to-noise ratio in dB; infinite where nothing differs (the mouth's flow is 0)."""
    off = np.mean((made - expected) ** 2)
    return float(10 * np.log10(np.mean(expected**2) / (off + 1e-20))) if off else np.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--view", choices=WINDOWS, required=True, help="that they were trained on")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of both views")
    arguments = parser.parse_args()
    net, kept = Renderer(), arguments.out / arguments.view / "renderer.safetensors"
    load_weights(net, arguments.weights)
    export(net, arguments.out, arguments.view)
    if arguments.weights.resolve() != kept.resolve():
        shutil.copyfile(arguments.weights, kept)


if __name__ == "__main__":
    run_tool(main)
