"""Mouth crops and sound for training the sync expert.

    python -m atl_training.sync.data --shards corpus grid_shards --out sync

Cuts every clip's crops once, a file a shard (what is there is kept); training then reads 30 kB a second instead of video.
Clips that are `share_alike` are left out.
"""
import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_evaluation.sync import SIDE, SIZE, mouth_crops, picture_input, sound_input
from atl_face.errors import UserError
from atl_face.pcm import to_float, to_int16
from atl_face.stream import FRAME_SAMPLES
from atl_training.augment import CameraNoise, degrade_sound
from atl_training.shards import Sample, find_shards, read_shards, share_alike
from atl_training.tool import run_tool

WIDE = 64  # px of a kept crop: SIZE and a margin for jitter
SHIFT_PX, ZOOM, TURN_DEG = 3.0, 0.12, 6.0  # a second tracker's landmarks lie elsewhere, and drawn faces are of other sizes
GAMMA = 0.3


@dataclass
class Clip:
    """crops (T, WIDE, WIDE) uint8; sound (T * FRAME_SAMPLES,) int16; real: filmed, not drawn."""

    key: str
    crops: np.ndarray
    sound: np.ndarray
    held: bool
    real: bool


def clip_of(sample: Sample) -> Clip:
    """The part of a rendered or filmed clip that has picture, landmarks and sound."""
    frames, landmarks = sample.frames(), sample.arrays["landmarks"]
    count = min(len(frames), len(landmarks), len(sample.audio) // FRAME_SAMPLES)
    sound = to_int16(sample.audio[: count * FRAME_SAMPLES])
    crops = mouth_crops(frames[:count], landmarks[:count], WIDE, SIDE * WIDE / SIZE)
    return Clip(sample.key, crops, sound, sample.held_out, sample.facts["kind"] != "synthetic")


def pack(shard: Path, folder: Path) -> Path:
    """Write a shard's clips as one npz file; it is there only when it is complete."""
    path = folder / f"{shard.parent.name}-{shard.stem}.npz"
    if not path.exists():
        clips = [clip_of(s) for s in read_shards([shard]) if s.video is not None and not share_alike(s.facts)]
        if not clips:
            raise UserError(f"{shard} holds no rendered or filmed clips that may be trained on.")
        partial = path.with_suffix(".part.npz")
        np.savez(partial, key=[c.key for c in clips], frames=[len(c.crops) for c in clips], held=[c.held for c in clips],
                 real=[c.real for c in clips], crops=np.concatenate([c.crops for c in clips]),
                 sound=np.concatenate([c.sound for c in clips]))  # fmt: skip
        partial.replace(path)
    return path


def load(folders: list[Path]) -> list[Clip]:
    """All clips of folders that `pack` filled. Raises UserError where there are none."""
    clips = []
    for path in sorted(p for folder in folders for p in folder.glob("*.npz") if not p.stem.endswith(".part")):
        with np.load(path) as kept:
            ends = np.cumsum(kept["frames"])[:-1]
            crops, sound = np.split(kept["crops"], ends), np.split(kept["sound"], ends * FRAME_SAMPLES)
            clips += [Clip(str(key), c, s, bool(held), bool(real))
                      for key, c, s, held, real in zip(kept["key"], crops, sound, kept["held"], kept["real"], strict=True)]
    if not clips:
        raise UserError(f"There are no crops in {', '.join(map(str, folders))}: cut them with atl_training.sync.data.")
    return clips


def centre(crops: np.ndarray) -> np.ndarray:
    """Kept crops (T, WIDE, WIDE) without their margin: what `mouth_crops` gives by default, (T, SIZE, SIZE)."""
    edge = (WIDE - SIZE) // 2
    return crops[:, edge: edge + SIZE, edge: edge + SIZE]


class Batches:
    """Random excerpts of clips, pictures and sound augmented.

    Args:
        frames: of an excerpt. batch: excerpts, each of another clip.
        real_share: of a batch that is filmed.
    """

    def __init__(self, clips: list[Clip], frames: int, batch: int, seed: int | list[int], real_share: float = 0.5):
        self._rng = np.random.default_rng(seed)
        usable = [c for c in clips if len(c.crops) >= frames]
        self._pools = [[c for c in usable if c.real == real] for real in (False, True)]
        self._frames = frames
        filmed = round(batch * real_share) if all(self._pools) else batch * bool(self._pools[1])
        self._counts = (batch - filmed, filmed)
        for pool, count in zip(self._pools, self._counts, strict=True):
            if len(pool) < count:
                raise UserError(f"{len(pool)} clips of {frames} frames or more are too few for a batch of {count}.")

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """pictures (B, T, SIZE, SIZE) and features (B, MEL_PER_FRAME T, MELS), float32."""
        rows = [self._excerpt(pool[i]) for pool, count in zip(self._pools, self._counts, strict=True)
                for i in self._rng.choice(len(pool), count, replace=False)]  # fmt: skip
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def _excerpt(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        rng, frames = self._rng, self._frames
        start = int(rng.integers(len(clip.crops) - frames + 1))
        end = start + frames
        sound = to_float(clip.sound[start * FRAME_SAMPLES: end * FRAME_SAMPLES])
        return picture_input(jitter(rng, clip.crops[start:end])), sound_input(degrade_sound(rng, sound), frames)


def jitter(rng: np.random.Generator, crops: np.ndarray) -> np.ndarray:
    """Another place, size, angle, gamma, camera and perhaps the mirrored face, the same for all crops of an excerpt:
    (T, WIDE, WIDE) to (T, SIZE, SIZE) uint8."""
    middle = ((WIDE - 1) / 2, (WIDE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, rng.uniform(-TURN_DEG, TURN_DEG), np.exp(rng.uniform(-ZOOM, ZOOM)))
    matrix[:, 2] += rng.uniform(-SHIFT_PX, SHIFT_PX, 2) - (WIDE - SIZE) / 2
    if rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += SIZE - 1
    tone = np.rint(255 * (np.arange(256) / 255) ** np.exp(rng.uniform(-GAMMA, GAMMA))).astype(np.uint8)
    camera = CameraNoise(rng)
    out = []
    for crop in crops:
        small = cv2.warpAffine(crop, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out.append(cv2.cvtColor(camera(cv2.cvtColor(tone[small], cv2.COLOR_GRAY2RGB)), cv2.COLOR_RGB2GRAY))
    return np.stack(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the studio's clips and loaded real video")
    parser.add_argument("--out", type=Path, required=True, help="folder for the crops")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for shard in tqdm(find_shards(arguments.shards), unit="shard"):
        pack(shard, arguments.out)


if __name__ == "__main__":
    run_tool(main)
