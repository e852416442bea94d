"""Random batches of packed segments, as the renderer's training wants them."""
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from atl_diffusion_node.guide import MOUTH_WEIGHT, POINT_WEIGHT, point_weights
from atl_diffusion_node.views import View
from atl_training.renderer.pack import ARRAYS, FRAMES

BATCH = 16  # frames
CLIPS = 1, 2  # frames of a batch's segments: single ones are of more faces, two teach the memory
JITTER_SHARE = 0.5  # of them get another white balance and exposure
IN_TIME = ("points", "target", "warped")  # arrays with a row for every frame of the segment


@dataclass
class Batch:
    """Tensors of B segments of T frames, channels first, pixels in [-1, 1]; (B T, ...) but for the identity's (B, ...)."""

    target: torch.Tensor
    warped: torch.Tensor
    rasters: torch.Tensor  # (B T, 3, S/2, S/2) in [0, 1]
    mask: torch.Tensor  # (B T, 1, S, S)
    portrait: torch.Tensor
    portrait_rasters: torch.Tensor
    fine: bool  # of the mouth's view

    @property
    def frames(self) -> int:
        """T."""
        return len(self.target) // len(self.portrait)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; the copy doesn't wait for what is computed there."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in memory that a CUDA device reads by itself; DataLoader calls it."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(v) for name, v in values.items() if isinstance(v, torch.Tensor)})


class Segments:
    """The segments of one or more packed folders, memory-mapped, in one row.

    Args:
        shares: how often `draw` takes a segment of each folder, in any unit; None: as often as any other segment.
        mouth_weight: of the mouth's points in the guide-noise mask.
    """

    def __init__(self, folders: list[Path], shares: list[float] | None = None, mouth_weight: float = MOUTH_WEIGHT):
        self._weights = point_weights(mouth_weight)
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

    def batch(self, chosen: list[int], view: View, rng: np.random.Generator | None, frames: int = FRAMES) -> Batch:
        """The first `frames` of segments `chosen`, seen in a view, augmented with `rng` (None: not)."""
        columns: dict[str, list[np.ndarray]] = {n: [] for n in Batch.__annotations__ if n != "fine"}
        for index in chosen:
            for name, array in in_view(self[index], view, rng, frames, self._weights).items():
                columns[name].append(array)
        join = {n: np.concatenate(v) for n, v in columns.items()}
        return Batch(**{n: torch.from_numpy(np.ascontiguousarray(v)) for n, v in join.items()}, fine=view.fine)


def in_view(segment: dict[str, np.ndarray], view: View, rng: np.random.Generator | None, frames: int,
            weights: np.ndarray = POINT_WEIGHT) -> dict[str, np.ndarray]:  # fmt: skip
    """The first `frames` T of a segment (arrays of `pack.ARRAYS`) in a view, augmented with `rng` (None: not).

    weights: of the landmarks in the guide-noise mask.

    Returns: (T, C, H, W) by the names of `Batch`, but (1, C, H, W) of the portrait and its rasters.
    """
    a = {name: v[:frames] if name in IN_TIME else v for name, v in segment.items()}
    gain, bias, flip = np.ones(3, np.float32), np.zeros(3, np.float32), False
    if rng is not None:
        flip = rng.random() < 0.5
        if rng.random() < JITTER_SHARE:
            gain, bias = rng.uniform(0.75, 1.25, 3).astype(np.float32), rng.uniform(-0.15, 0.15, 3).astype(np.float32)

    def pixels(pictures, points):
        seen = np.stack([view.picture(*both) for both in zip(pictures, points, strict=True)])
        return np.clip(seen * gain + bias, -1, 1)

    points, neutral = a["points"], a["neutral"][None]
    out = {
        "target": pixels(a["target"], points), "warped": pixels(a["warped"], points),
        "rasters": np.stack([view.lines(p) for p in points]),
        "mask": np.stack([view.mask(p, weights) for p in points])[..., None],
        "portrait": pixels(a["portrait"][None], neutral), "portrait_rasters": view.lines(a["neutral"])[None],
    }  # fmt: skip
    return {n: np.moveaxis(v[..., ::-1, :] if flip else v, -1, -3) for n, v in out.items()}


class Draws(IterableDataset):
    """Endless random batches of BATCH frames in a view, each batch of segments of one of `lengths`, in frames."""

    def __init__(self, segments: Segments, view: View, seed: list[int], lengths: tuple[int, ...] = CLIPS):
        self._segments, self._view, self._seed, self._lengths = segments, view, seed, lengths

    def __iter__(self):
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self._seed)
        while True:
            frames = self._lengths[rng.integers(len(self._lengths))]
            yield self._segments.batch(self._segments.draw(BATCH // frames, rng), self._view, rng, frames)


def stream(segments: Segments, view: View, seed: list[int], device: torch.device, lengths: tuple[int, ...] = CLIPS):
    """Batches of `Draws` for a device, but not on it yet, made ahead in another process, which is forked here."""
    draws, pinned = Draws(segments, view, seed, lengths), device.type == "cuda"
    return iter(DataLoader(draws, batch_size=None, num_workers=1, prefetch_factor=4, pin_memory=pinned))
