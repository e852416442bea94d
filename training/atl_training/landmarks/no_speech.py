"""The sounds that are no speech (`atl_training.noises`), made once for a run: on disk, shared by its processes and resumes.

To make them takes 16 s of a core, and every process would; mapped from one file they are in a host's memory once, too.
"""
from pathlib import Path

import numpy as np

from atl_training import noises
from atl_training.checkpoint import complete

FILE = "no_speech.npy"  # 82 MB


def keep(folder: Path) -> None:
    """Make the sounds' file in a folder, if it has none."""
    path = folder / FILE
    if not path.exists():
        with complete(path) as partial, partial.open("wb") as file:
            np.save(file, np.stack(noises.made()))


def use(folder: Path) -> None:
    """Let this process draw from a folder's sounds, which `keep` has made."""
    noises.give(np.asarray(np.load(folder / FILE, mmap_mode="r")))  # a plain array over the mapping
