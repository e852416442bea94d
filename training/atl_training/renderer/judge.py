"""Compare renderers on the same held-out segments; still portrait and warp alone beside them.

    python -m atl_training.renderer.judge --weights old.safetensors new.safetensors --data DIR... --out judged.json
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from atl_training.renderer.batches import Segments
from atl_training.renderer.train import Renderer, validate
from atl_training.tool import run_tool

MOST = 200  # segments of a folder: neighbours are of one clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="renderers to compare (safetensors)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that renderer.pack wrote, each judged alone")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = {}
    for path in arguments.weights:
        net = Renderer()
        net.load_state_dict(load_file(path))
        result[str(path)] = {str(folder): validate(net, Segments([folder / "val"]), MOST) for folder in arguments.data}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_tool(main)
