"""Random windows of packed segments, as the renderer's training wants them."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from atl_diffusion_node.guide import guide_mask, rasters
from atl_diffusion_node.runtime import FACE_SIZE
from atl_face.topology import EYE_LEFT, EYE_RIGHT, MOUTH
from atl_training.renderer.pack import ARRAYS, FRAMES

WINDOW = 96  # px: the net is convolutional, so it learns from windows at a seventh of a whole crop's cost
GRID = 16  # px: windows start on the grid of the net's deepest level
MOUTH_SHARE, EYES_SHARE = 0.5, 0.15  # of the windows; the rest lie anywhere
IN_TIME = ("points", "target", "warped", "rasters")  # arrays with a row for every frame of the segment
JITTER_SHARE = 0.5  # of the segments get another white balance and exposure


@dataclass
class Batch:
    """Tensors of B segments of T frames, channels first, pixels in [-1, 1]; (B T, ...) but for the identity's (B, ...)."""

    target: torch.Tensor
    warped: torch.Tensor
    rasters: torch.Tensor  # (B T, 3, S/2, S/2) in [0, 1]
    mask: torch.Tensor  # (B T, 1, S, S)
    portrait: torch.Tensor
    portrait_rasters: torch.Tensor

    @property
    def frames(self) -> int:
        """T."""
        return len(self.target) // len(self.portrait)


class Segments:
    """The segments of one or more packed folders, memory-mapped, in one row.

    Args:
        shares: how often `draw` takes a segment of each folder, in any unit; None: as often as any other segment.
    """

    def __init__(self, folders: list[Path], shares: list[float] | None = None):
        self._packs = [{name: np.load(f / f"{name}.npy", mmap_mode="r") for name in ARRAYS} for f in folders]
        sizes = [len(pack["portrait"]) for pack in self._packs]
        self._ends = np.cumsum(sizes)
        self._shares = np.asarray(sizes if shares is None else shares, np.float64)
        self._shares /= self._shares.sum()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """Indices of random segments: a folder by its share, then any of its own."""
        begins = np.concatenate([[0], self._ends[:-1]])
        return [int(rng.integers(begins[k], self._ends[k])) for k in rng.choice(len(self._ends), count, p=self._shares)]

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one segment, see `pack.ARRAYS`."""
        which = int(np.searchsorted(self._ends, index, side="right"))
        row = index - (int(self._ends[which - 1]) if which else 0)
        return {name: array[row] for name, array in self._packs[which].items()}

    def batch(self, chosen: list[int], windows: list[tuple[int, int]] | None, rng: np.random.Generator | None,
              frames: int = FRAMES) -> Batch:  # fmt: skip
        """The first `frames` of segments `chosen`, cut to `windows` (x, y of their corner; None: whole), augmented with
        `rng` (None: not)."""
        columns: dict[str, list[np.ndarray]] = {n: [] for n in Batch.__annotations__}
        for row, index in enumerate(chosen):
            flip = rng is not None and rng.random() < 0.5
            x, y = windows[row] if windows else (0, 0)
            size = WINDOW if windows else FACE_SIZE
            for name, array in self._segment(index, x, y, size, flip, rng, frames).items():
                columns[name].append(array)
        join = {n: np.concatenate(v) for n, v in columns.items()}
        return Batch(**{n: torch.from_numpy(np.ascontiguousarray(v)) for n, v in join.items()})

    def _segment(self, index: int, x: int, y: int, size: int, flip: bool, rng, frames: int) -> dict[str, np.ndarray]:
        a = {name: v[:frames] if name in IN_TIME else v for name, v in self[index].items()}
        if flip:
            x = FACE_SIZE - size - x  # the window of the mirrored crop
        full, half = np.s_[..., y:y + size, x:x + size, :], np.s_[..., y // 2:(y + size) // 2, x // 2:(x + size) // 2, :]
        gain, bias = np.ones(3, np.float32), np.zeros(3, np.float32)
        if rng is not None and rng.random() < JITTER_SHARE:
            gain, bias = rng.uniform(0.75, 1.25, 3).astype(np.float32), rng.uniform(-0.15, 0.15, 3).astype(np.float32)

        def pixels(array):
            return np.clip((array[full].astype(np.float32) / 127.5 - 1) * gain + bias, -1, 1)

        mask = np.stack([guide_mask(p, FACE_SIZE) for p in a["points"]])[..., None]
        out = {
            "target": pixels(a["target"]), "warped": pixels(a["warped"]), "portrait": pixels(a["portrait"])[None],
            "rasters": a["rasters"][half].astype(np.float32) / 255, "mask": mask[full],
            "portrait_rasters": rasters(a["neutral"], FACE_SIZE // 2)[half][None].astype(np.float32) / 255,
        }  # fmt: skip
        return {n: np.moveaxis(v[..., ::-1, :] if flip else v, -1, -3) for n, v in out.items()}

    def window(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """A window's corner: around the mouth, an eye, or anywhere."""
        points = self[index]["points"].mean(0)
        kind = rng.random()
        if kind < MOUTH_SHARE:
            centre = points[MOUTH].mean(0) * FACE_SIZE + rng.normal(0, 14, 2)
        elif kind < MOUTH_SHARE + EYES_SHARE:
            centre = points[(EYE_LEFT, EYE_RIGHT)[rng.integers(2)]].mean(0) * FACE_SIZE + rng.normal(0, 14, 2)
        else:
            centre = rng.uniform(0, FACE_SIZE, 2)
        corner = np.round((centre - WINDOW / 2) / GRID) * GRID
        x, y = np.clip(corner, 0, FACE_SIZE - WINDOW).astype(int)
        return int(x), int(y)


class Windows(IterableDataset):
    """Endless random batches of `batch` segments of `frames`, in windows."""

    def __init__(self, segments: Segments, batch: int, frames: int, seed: int):
        self._segments, self._batch, self._frames, self._seed = segments, batch, frames, seed

    def __iter__(self):
        torch.set_num_threads(1)
        rng = np.random.default_rng(self._seed)
        while True:
            chosen = self._segments.draw(self._batch, rng)
            windows = [self._segments.window(i, rng) for i in chosen]
            yield self._segments.batch(chosen, windows, rng, self._frames)


def stream(segments: Segments, batch: int, frames: int, seed: int):
    """Batches of `Windows`, made ahead in another process."""
    return iter(DataLoader(Windows(segments, batch, frames, seed), batch_size=None, num_workers=1, prefetch_factor=4))
