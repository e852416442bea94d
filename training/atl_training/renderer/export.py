"""Export the trained renderer to ONNX (identity.onnx, unet.onnx) and check the graphs against torch.

    python -m atl_training.renderer.export --weights OUT/renderer.safetensors --out atl_diffusion_node/atl_diffusion_node/data
"""
import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from atl_diffusion_node.runtime import WINDOW
from atl_diffusion_node.unet import identity_shapes, memory_shapes
from atl_training.renderer.train import Renderer
from atl_training.tool import run_tool

TOLERANCE = 2e-3  # of [-1, 1]: a quarter of a grey level, in float32


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


def export(net: Renderer, folder: Path) -> None:
    """Write both graphs; raises where they disagree with torch by more than TOLERANCE."""
    net = net.eval().float()
    half = [side // 2 for side in WINDOW]
    pictures = [torch.rand(1, 3, *WINDOW) * 2 - 1 for _ in range(2)]
    features = [torch.randn(1, *s) for s in identity_shapes(*WINDOW)]
    memory = [torch.randn(1, *s) for s in memory_shapes(*WINDOW)]
    jobs = (
        ("identity", _Identity(net.identity), (pictures[0], torch.rand(1, 3, *half)),
         ["portrait", "portrait_rasters"], [f"f{i}" for i in range(4)]),
        ("unet", _Step(net.unet), (*pictures, torch.rand(1, 5, *half), *features, *memory),
         ["x_s", "warped", "guides", *(f"f{i}" for i in range(4)), *(f"m{i}" for i in range(3))],
         ["x_0", *(f"next_m{i}" for i in range(3))]),
    )  # fmt: skip
    import openvino

    for name, module, example, inputs, outputs in jobs:
        path = folder / f"{name}.onnx"
        torch.onnx.export(module.eval(), example, path, input_names=inputs, output_names=outputs, opset_version=17,
                          dynamo=False)  # fmt: skip
        compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        with torch.inference_mode():
            expected = module(*example)
        for mine, theirs in zip(compiled([e.numpy() for e in example]).values(), expected, strict=True):
            error = float(np.abs(mine - theirs.numpy()).max())
            if error > TOLERANCE:
                raise AssertionError(f"{name}.onnx is off by {error:.2e}")
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, checked")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    net = Renderer()
    net.load_state_dict(load_file(arguments.weights))
    export(net, arguments.out)
    shutil.copy(arguments.weights, arguments.out / "renderer.safetensors")


if __name__ == "__main__":
    run_tool(main)
