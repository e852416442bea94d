"""Clips for the paper's way (`renderer.paper`): consecutive frames of a recording, its first frame as the portrait.

Every picture is the whole crop at half its size, 128 px (`views.FACE`), cut where the portrait's landmarks say.
"""
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from atl_diffusion_node.paper_unet import IDENTITY
from atl_diffusion_node.paste import ROOM
from atl_diffusion_node.runtime import FACE_SIZE
from atl_diffusion_node.views import View
from atl_evaluation.metrics.features import EfficientNetLite
from atl_face.align import CropTransform
from atl_face.emotion import LABELS
from atl_face.errors import UserError
from atl_training.renderer.batches import Batch, in_view
from atl_training.renderer.pack import segment, warper
from atl_training.shards import find_shards, read_facts, read_shards, share_alike

KERNEL = 25  # px at 128 px, the paper's on CREMA-D, whose faces look into the camera as GRID's do; its 11 is for MEAD
FLOOR = 0.1  # the paper's, added to the normalised mask


@dataclass
class Clip(Batch):
    """One clip of T frames, and what the paper's network is told of it; `mask` is the paper's."""

    identity: torch.Tensor  # (1, IDENTITY)
    emotion: torch.Tensor  # (1,) int64


def clip_masks(points: np.ndarray, size: int) -> np.ndarray:
    """The paper's guide-noise masks of a clip (section 3.2), (T, size, size) float32 in [f, 1 + f].

    M_t = f + (g_t - min g) / (max g - min g),   g_t = the landmarks' pixels of frame t, set to 1 and blurred

    with the floor f; minimum and maximum are the whole clip's. Pixels are set once, however many landmarks fall into them,
    and the blur's sigma is the one that OpenCV takes for the kernel, 4.1 px: the paper doesn't say.

    Args:
        points: (T, 68, 2|3) crop coordinates; those outside the crop are left out.
        size: px of the crop's side.
    """
    xy = np.floor(np.asarray(points)[..., :2] * size).astype(int)
    frame, point = np.nonzero(((xy >= 0) & (xy < size)).all(-1))
    set_to_1 = np.zeros((len(xy), size, size), np.float32)
    set_to_1[frame, xy[frame, point, 1], xy[frame, point, 0]] = 1
    g = np.stack([cv2.GaussianBlur(picture, (KERNEL, KERNEL), 0) for picture in set_to_1])
    return FLOOR + (g - g.min()) / max(float(g.max() - g.min()), 1e-6)


class Clips:
    """A clip of each recording in shards, cut when it is asked for; `judge.validate` takes them as segments.

    Args:
        split: "train" or "val" (held out).
        frames: T; shorter recordings are left out, and those that are `share_alike`.
        most: take so many of the recordings, spread evenly; None: all.
        ours: with our guide-noise mask, of every frame by itself, in place of the paper's.

    Raises:
        UserError: there is none; EfficientNet-Lite0 isn't installed.
    """

    def __init__(self, shards: list[Path], split: str, frames: int, most: int | None = None, ours: bool = False):
        found = [(shard, key) for shard in find_shards(shards) for key, facts in read_facts(shard)
                 if facts["split"] == split and facts["size"] and facts["frames"] >= frames
                 and not share_alike(facts)]  # fmt: skip
        if not found:
            raise UserError(f"The shards hold no filmed clip of {frames} frames or more in split '{split}'.")
        kept = np.linspace(0, len(found) - 1, min(most or len(found), len(found))).round().astype(int)
        self._recordings, self._frames, self._ours = [found[k] for k in kept], frames, ours
        self._warp, self._features = warper(), EfficientNetLite()

    def __len__(self) -> int:
        return len(self._recordings)

    def batch(self, chosen: list[int], view: View, rng: np.random.Generator | None, frames: int | None = None) -> Clip:
        """The clip of the one recording that is chosen: the middle of it, or with `rng` any part."""
        shard, key = self._recordings[chosen[0]]
        sample = next(sample for sample in read_shards([shard]) if sample.key == key)
        count = frames or self._frames
        pictures, landmarks = sample.frames(), sample.arrays["landmarks"]
        room = min(len(pictures), len(landmarks)) - count
        at = room // 2 if rng is None else int(rng.integers(room + 1))
        transform = CropTransform.from_landmarks(landmarks[0])
        portrait = ROOM.cut(transform, pictures[0])
        target = [transform.extract(picture, FACE_SIZE) for picture in pictures[at:at + count]]
        points = transform.to_crop(landmarks[at:at + count])
        piece = segment(portrait, transform.to_crop(landmarks[0]), points, target, self._warp)
        arrays = in_view(piece, view, None, count)
        if not self._ours:
            arrays["mask"] = clip_masks(points, view.size)[:, None]
        return Clip(**{name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}, fine=view.fine,
                    identity=self._identity(portrait[ROOM.crop]),
                    emotion=torch.tensor([LABELS.index(sample.facts["emotion"])]))  # fmt: skip

    def _identity(self, portrait: np.ndarray) -> torch.Tensor:
        """(1, IDENTITY): EfficientNet-Lite0's 1280 numbers, of mean square 1, then zeros. ResNet-50's weights aren't at hand;
        both are pooled features of a classifier of ImageNet, and the network projects either."""
        found = self._features([portrait])[0]
        return torch.from_numpy(np.pad(found / np.sqrt(np.mean(found**2)), (0, IDENTITY - len(found)))).float()[None]
