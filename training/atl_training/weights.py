"""Weights of networks, by name."""
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from atl_face.errors import UserError


def load_weights(net: torch.nn.Module, path: Path) -> None:
    """All weights of a network from a file (safetensors).

    Raises:
        UserError: the file is none, or its weights are another network's.
    """
    try:
        net.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise UserError(f"{path} is no file of weights (safetensors): {error}.") from error
    except RuntimeError as error:  # torch's list of all the names and shapes
        raise UserError(f"{path} holds another network: its weights' names or shapes differ.") from error


def mean_weights(runs: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of runs' weights by name, taken in double, of the first run's types. All runs are of one network.

    Raises:
        UserError: there are less than two.
    """
    if len(runs) < 2:
        raise UserError("An average needs two runs or more.")
    return {name: (sum(run[name].double() for run in runs) / len(runs)).to(value.dtype) for name, value in runs[0].items()}
