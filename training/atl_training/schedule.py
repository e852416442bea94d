"""A learning rate that goes up fast and down slowly."""
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


def one_cycle(optimiser: Optimizer, rate: float, steps: int, rise: float, **options) -> OneCycleLR:
    """torch's OneCycleLR (Smith and Topin, "Super-Convergence", 2018), which divides by zero where it rises for one step exactly.

    It cycles the momentum, too, whatever the optimiser was made with: Adam's first beta falls from .95 to .85 at the peak and
    rises to .95 again.

    Args:
        rate: the highest, reached after `rise` of the steps; options: OneCycleLR's.
    """
    if rise * steps == 1:
        rise *= 1.01
    return OneCycleLR(optimiser, rate, steps, pct_start=rise, **options)
