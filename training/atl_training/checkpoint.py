"""Checkpoints that a kill can't halve."""
from pathlib import Path

import torch


def save_checkpoint(state: dict, path: Path) -> None:
    """torch.save into a file that is there only when it is complete."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)
