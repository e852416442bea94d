"""Files that a kill can't halve, and that another machine can read."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from atl_face.errors import UserError


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Where to write a file that is there only when it is complete."""
    partial = path.with_name(path.name + ".part")
    yield partial
    partial.replace(path)


def save_checkpoint(state: dict, path: Path) -> None:
    """torch.save of a complete file."""
    with complete(path) as partial:
        torch.save(state, partial)


def load_checkpoint(path: Path) -> dict:
    """What `save_checkpoint` wrote, on the CPU, wherever its tensors were; `load_state_dict` moves them to their network's device
    (but Adam's count of steps, which torch keeps on the CPU)."""
    return torch.load(path, map_location="cpu")


def refuse_others(out: Path, before: dict, asked: dict) -> None:
    """Raises UserError unless a run's settings are the same as before; one that doesn't tell them can't go on."""
    wrong = [f"{name} {before.get(name, 'not told')}" for name in asked if name not in before or before[name] != asked[name]]
    if wrong:
        raise UserError(f"{out} holds a run with other settings, and only the same ones can go on ({', '.join(wrong)}): "
                        "choose another --out.")  # fmt: skip
