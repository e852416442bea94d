"""Average the weights of several trainings of one network, each of which began where another of them ended or began.

    python -m atl_training.landmarks.average --runs RUN... --out DIR

Networks that share a beginning lie in one valley of the loss, and the middle of it is better on what none of them has seen than
each is: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018 (one training's rounds);
Wortsman et al., "Model soups", 2022 (several trainings). It costs nothing at run time. The middle of networks that began apart is
no network.

Writes OUT/best.safetensors and its ONNX graph; `atl_training.landmarks.judge` compares it with those that it is made of.
"""
import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from atl_training.landmarks.models import load_net, load_trainee
from atl_training.landmarks.train import save_net
from atl_training.tool import run_tool
from atl_training.weights import mean_weights


def average(paths: list[Path]) -> torch.nn.Module:
    """The trainee of the first file (safetensors), whose network has the mean of all the files' weights.

    Raises:
        UserError: there is but one, or they aren't of one and the same network.
    """
    trainee = load_trainee(paths[0])
    for path in paths[1:]:
        load_net(trainee, path)  # refuses another network's
    trainee.net.load_state_dict(mean_weights([load_file(path) for path in paths]))
    return trainee


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="files of weights (best.safetensors of a training)")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    trainee = average(arguments.runs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_net(trainee, arguments.out / "best.safetensors")
    trainee.export(arguments.out)


if __name__ == "__main__":
    run_tool(main)
