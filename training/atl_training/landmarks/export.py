"""Export the landmark network to ONNX and check the graph against torch."""
from pathlib import Path

import numpy as np
import torch

from atl_face.inference import core
from atl_landmark_node.features import MELS
from atl_landmark_node.model import LAYERS, LOOKAHEAD, STATE, STYLES, WINDOW
from atl_landmark_node.net import SpeechNet

TOLERANCE = 1e-4


class _Step(torch.nn.Module):
    def __init__(self, net: SpeechNet):
        super().__init__()
        self.net = net

    def forward(self, window, state, style):
        return self.net.step(window, state, style)


def export(net: SpeechNet, path: Path) -> None:
    """Write one step of the network as ONNX if the runtime can use it; raises if the graph is off by more than TOLERANCE."""
    net.eval()
    if net.lookahead != LOOKAHEAD:
        return  # of an experiment: the runtime hears LOOKAHEAD ahead
    example = (torch.randn(1, WINDOW, MELS), torch.randn(1, LAYERS * STATE).tanh(), torch.eye(len(STYLES))[:1])
    torch.onnx.export(_Step(net).eval(), example, path, input_names=["window", "state", "style"],
                      output_names=["answer", "next_state"], opset_version=17, dynamo=False)  # fmt: skip
    every_style = [(*example[:2], style) for style in torch.eye(len(STYLES)).split(1)]
    with torch.inference_mode():
        check_export(path, [(inputs, net.step(*inputs)) for inputs in every_style])


def check_export(path: Path, answers: list) -> None:
    """Raises if a graph's outputs are off by more than TOLERANCE; answers: pairs of torch's inputs and outputs (tuples)."""
    compiled = core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for inputs, expected in answers:
        for mine, theirs in zip(compiled([i.numpy() for i in inputs]).values(), expected, strict=True):
            error = float(np.abs(mine - theirs.numpy()).max())
            if error > TOLERANCE:
                raise AssertionError(f"the exported graph is off by {error:.2e}")
