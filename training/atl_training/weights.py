"""Weights of networks, by name."""
import torch

from atl_face.errors import UserError


def mean_weights(runs: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of runs' weights by name, taken in double, of the first run's types. All runs are of one network.

    Raises:
        UserError: there are less than two.
    """
    if len(runs) < 2:
        raise UserError("An average needs two runs or more.")
    return {name: (sum(run[name].double() for run in runs) / len(runs)).to(value.dtype) for name, value in runs[0].items()}
