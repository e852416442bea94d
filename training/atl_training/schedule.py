"""A learning rate that goes up fast and down slowly."""
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


def one_cycle(optimiser: Optimizer, rate: float, steps: int, rise: float, **options) -> OneCycleLR:
    """torch's OneCycleLR (Smith and Topin, "Super-Convergence", 2018), which divides by zero where it rises for one step exactly.

    Args:
        rate: the highest, reached after `rise` of the steps; options: OneCycleLR's.
    """
    if rise * steps == 1:
        rise *= 1.01
    return OneCycleLR(optimiser, rate, steps, pct_start=rise, **options)
