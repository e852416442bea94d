"""Average the weights of several trainings of one view, each of which began where another of them ended or began.

    python -m atl_training.renderer.average --runs A/renderer.safetensors B/renderer.safetensors ... --out DIR

As `atl_training.landmarks.average` does, which tells why. Writes OUT/renderer.safetensors; `renderer.judge` compares.
"""
import argparse
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from atl_face.errors import UserError
from atl_training.checkpoint import complete
from atl_training.tool import run_tool
from atl_training.weights import mean_weights


def average(paths: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of files' weights by name, of the first one's types.

    Raises:
        UserError: there are less than two, or they aren't of one and the same network.
    """
    try:
        runs = [load_file(path) for path in paths]
    except SafetensorError as error:
        raise UserError(f"Not every one of {', '.join(map(str, paths))} is a file of weights (safetensors): {error}.") from error
    shapes = [{name: value.shape for name, value in run.items()} for run in runs]
    for path, other in zip(paths, shapes, strict=True):
        if other != shapes[0]:
            raise UserError(f"{path} holds another network than {paths[0]}.")
    return mean_weights(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="files of weights, renderer.safetensors of trainings")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    made = average(arguments.runs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with complete(arguments.out / "renderer.safetensors") as partial:
        save_file(made, partial)


if __name__ == "__main__":
    run_tool(main)
