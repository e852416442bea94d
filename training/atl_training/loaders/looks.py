"""Look several times at each stored frame of film: landmarks that tremble less, and lean to no side.

    python -m atl_training.loaders.looks --shards DIR --out DIR

FaceMesh shown a mirrored or slightly turned frame puts its points elsewhere (on GRID by .9 px of the stored 320 between a frame
and its mirror image, in the mean). `LOOKS` are tracked each for itself, and the shards written anew with their mean. Clips that
were rendered have exact landmarks and no use for this.
"""
import argparse
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.topology import lip_gap
from atl_training.shards import Sample, find_shards, read_shards, write_shard
from atl_training.tool import run_tool
from atl_training.workers import begin_worker

MIRRORED = np.array([
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),  # jaw, brows, nose
    *range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40,  # eyes
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),  # lips
])  # fmt: skip
"""The point that each of the 68 becomes in a mirror."""


@dataclass(frozen=True)
class Look:
    """How a frame is shown: turned by degrees about its middle, made smaller, and mirrored."""

    degrees: float = 0.0
    scale: float = 1.0
    mirror: bool = False

    def _matrix(self, middle: float) -> np.ndarray:
        """(2, 3): a square frame to what is shown, before it is mirrored."""
        return cv2.getRotationMatrix2D((middle, middle), self.degrees, self.scale)

    def show(self, frame: np.ndarray) -> np.ndarray:
        """A square RGB frame as it is shown."""
        if self.degrees or self.scale != 1:
            matrix = self._matrix((len(frame) - 1) / 2)  # OpenCV counts from the first pixel's middle, landmarks from its corner
            frame = cv2.warpAffine(frame, matrix, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(frame[:, ::-1] if self.mirror else frame)

    def back(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (68, 3) of what was shown, as points of the frame."""
        if self.mirror:
            points = points[MIRRORED] * (-1, 1, 1) + (size, 0, 0)
        inverse = cv2.invertAffineTransform(self._matrix(size / 2))
        return np.column_stack([points[:, :2] @ inverse[:, :2].T + inverse[:, 2], points[:, 2] / self.scale])


LOOKS = Look(), Look(mirror=True), Look(6, 0.9, mirror=True), Look(-6, 0.9)
"""With the mean of these the warp alone is .52 dB nearer to GRID's frames than with single looks (30 held-out clips, PSNR in the
square of `renderer.report`), and .58 dB to the strangers' film; nearly all of that is the mirror image's (throwaway scripts)."""


def looked_at(frames: list[np.ndarray]) -> np.ndarray | None:
    """Landmarks (T, 68, 3) px of square frames, the mean of LOOKS; None where one of them lost the face."""
    tracks, size = [], len(frames[0])
    for look in LOOKS:
        seen = track(look.show(frame) for frame in frames)
        if np.isnan(seen).any():
            return None
        tracks.append([look.back(points, size) for points in seen])
    return np.mean(tracks, axis=0)


def anew(sample: Sample) -> Sample:
    """The clip with landmarks of several looks; as it was, if one of them lost the face."""
    before = sample.arrays["landmarks"]
    landmarks = looked_at(sample.frames()[: len(before)])
    if landmarks is None:
        return sample
    landmarks = landmarks.astype(before.dtype)
    arrays = sample.arrays | {"landmarks": landmarks, "lip_gap": lip_gap(landmarks)}
    return replace(sample, arrays=arrays, facts=sample.facts | {"looks": len(LOOKS)})


def _shard(out: Path, shard: Path) -> tuple[int, int]:
    cv2.setNumThreads(1)
    samples = [anew(sample) for sample in read_shards([shard])]
    write_shard(out / shard.name, samples)
    return len(samples), sum("looks" in sample.facts for sample in samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, required=True, help="loaded film (atl-corpus load)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the new shards; those that are there stay")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    chosen = parser.parse_args()
    if chosen.out.resolve() == chosen.shards.resolve():
        raise UserError("--out must be another folder than --shards.")
    shards = find_shards([chosen.shards])
    if not all(sample.facts["kind"] == "recorded" for sample in (next(read_shards([shard])) for shard in shards)):
        raise UserError(f"{chosen.shards} holds rendered clips: their landmarks are exact.")
    chosen.out.mkdir(parents=True, exist_ok=True)
    waiting = [shard for shard in shards if not (chosen.out / shard.name).exists()]
    with get_context("spawn").Pool(chosen.workers, begin_worker) as pool:  # mediapipe's threads don't survive a fork
        counts = list(tqdm(pool.imap_unordered(partial(_shard, chosen.out), waiting), total=len(waiting)))
    print(f"clips: {sum(count for count, _ in counts)}, looked at anew: {sum(anew for _, anew in counts)}")


if __name__ == "__main__":
    run_tool(main)
