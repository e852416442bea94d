"""Export the paper's landmark network to ONNX, for utterances of any length, and check the graph against torch."""
from pathlib import Path

import torch

from atl_face.emotion import LABELS
from atl_landmark_node.kflm_net import POINTS, KflmNet
from atl_training.landmarks.export import check_export

LENGTHS = 40, 200  # frames that the graph is checked with: within training's excerpts and far beyond them, none the traced one
TRACED = 60  # frames


def export_kflm(net: KflmNet, path: Path) -> None:
    """Write the network as ONNX: features (1, T, inputs), neutral (1, 68, 3), emotion (1, 8) -> points (1, T, 68, 3), speaking
    (1, T); raises if the graph disagrees with torch by more than TOLERANCE."""
    net.eval()

    def example(frames: int):
        return torch.randn(1, frames, net.inputs), 0.5 * torch.randn(1, POINTS, 3), torch.rand(1, len(LABELS))

    frames = {1: "frames"}
    torch.onnx.export(net, example(TRACED), path, input_names=["features", "neutral", "emotion"],
                      output_names=["points", "speaking"], opset_version=17, dynamo=False,
                      dynamic_axes={"features": frames, "points": frames, "speaking": frames})  # fmt: skip
    with torch.inference_mode():
        check_export(path, [(inputs, net(*inputs)) for inputs in map(example, LENGTHS)])
