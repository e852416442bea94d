"""Export the trained renderer to ONNX (identity.onnx, unet.onnx) and check what the runtimes make of them against torch.

    python -m atl_training.renderer.export --weights OUT/renderer.safetensors --out atl_diffusion_node/atl_diffusion_node/data

An int8 graph that is there is of the old weights then: `atl_training.renderer.quantise` makes it anew.
"""
import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import load_file

from atl_diffusion_node.runtime import MOUTH_WINDOW, WINDOW, OnnxRuntime, OpenVinoRuntime, Runtime
from atl_diffusion_node.unet import identity_shapes, memory_shapes
from atl_training.renderer.net import Renderer
from atl_training.tool import run_tool

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
        x_0, memory = self.net(x_s, warped, guides, [f0, f1, f2, f3], [m0, m1, m2])
        return (x_0, *memory)


def inputs(window: tuple[int, int]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Random inputs of the identity encoder and of the U-Net, by name."""
    half = [side // 2 for side in window]
    identity = {"portrait": torch.rand(1, 3, *window) * 2 - 1, "portrait_rasters": torch.rand(1, 3, *half)}
    unet = {name: torch.rand(1, 3, *window) * 2 - 1 for name in ("x_s", "warped")} | {"guides": torch.rand(1, 5, *half)}
    unet |= {f"f{i}": torch.randn(1, *s) for i, s in enumerate(identity_shapes(*window))}
    return identity, unet | {f"m{i}": torch.randn(1, *s) for i, s in enumerate(memory_shapes(*window))}


def export(net: Renderer, folder: Path) -> None:
    """Write both graphs; raises where a runtime computes something else than torch, see LEAST_DB.

    The files' inputs have WINDOW's size, but no size is written inside the graphs: whoever sets another one at the inputs
    has a graph for pictures of that size.
    """
    net = net.eval().float()
    modules, names = (_Identity(net.identity), _Step(net.unet)), ("identity", "unet")
    outputs = [f"f{i}" for i in range(4)], ["x_0", *(f"next_m{i}" for i in range(3))]
    for name, module, example, made in zip(names, modules, inputs(WINDOW), outputs, strict=True):
        path = folder / f"{name}.onnx"
        with torch.inference_mode():
            tensors = example | dict(zip(made, module(*example.values()), strict=True))
        sides = {key: {2: f"height / {WINDOW[0] // t.shape[2]}", 3: f"width / {WINDOW[1] // t.shape[3]}"}
                 for key, t in tensors.items()}  # fmt: skip
        torch.onnx.export(module.eval(), tuple(example.values()), path, input_names=list(example), output_names=made,
                          opset_version=17, dynamo=False, dynamic_axes=sides)  # fmt: skip
        model = onnx.load(path)
        for port in (*model.graph.input, *model.graph.output):
            for dim, side in zip(port.type.tensor_type.shape.dim, tensors[port.name].shape, strict=True):
                dim.dim_value = side
        onnx.save(model, path)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for kind, precision in ((OpenVinoRuntime, "f32"), (OpenVinoRuntime, "bf16"), (OnnxRuntime, "f32")):
        runtime = kind(1, precision, folder)
        for at in (runtime, runtime.smaller(MOUTH_WINDOW)):
            least = check(at, modules, LEAST_DB[precision])
            print(f"{at.name} at {at.window}: off by {-least:.0f} dB, {-LEAST_DB[precision]:.0f} dB are allowed")


def check(runtime: Runtime, modules: tuple, least_db: float) -> float:
    """Signal-to-noise ratio in dB of the runtime's worst output of both graphs; raises where it is below `least_db`."""
    examples = inputs(runtime.window)
    with torch.inference_mode():
        expected = [t.numpy() for net, example in zip(modules, examples, strict=True) for t in net(*example.values())]
    (portrait, rasters), (x_s, warped, guides, *rest) = ([t.numpy() for t in example.values()] for example in examples)
    x_0, memory = runtime.step(x_s, warped, guides, rest[:4], rest[4:])
    made = [*runtime.identity(portrait, rasters), x_0, *memory]
    ratios = [snr(a, b) for a, b in zip(made, expected, strict=True)]
    if min(ratios) < least_db:
        raise AssertionError(f"{runtime.name} is off: {min(ratios):.1f} dB")
    return min(ratios)


def snr(made: np.ndarray, expected: np.ndarray) -> float:
    """Signal-to-noise ratio in dB."""
    return float(10 * np.log10(np.mean(expected**2) / (np.mean((made - expected) ** 2) + 1e-20)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    net = Renderer()
    net.load_state_dict(load_file(arguments.weights))
    export(net, arguments.out)
    if arguments.weights.resolve() != (arguments.out / "renderer.safetensors").resolve():
        shutil.copy(arguments.weights, arguments.out / "renderer.safetensors")


if __name__ == "__main__":
    run_tool(main)
