"""Cut clips into short segments and pack what the renderer trains on: portrait, target, warped portrait, rasters.

    python -m atl_training.renderer.pack --corpus DIR --grid-clips DIR --grid-tracks DIR --out DIR

A segment is T consecutive frames of a clip and one other frame of it as the portrait; its crop is the portrait's, as at
run time. Arrays lie in the folder as .npy files and are memory-mapped in training. Held-out identities (corpus) and clips
(GRID) go to OUT/val, the rest to OUT/train, by `splits.held_out`.
"""
import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from atl_diffusion_node.guide import rasters
from atl_diffusion_node.renderer import reference_landmarks
from atl_diffusion_node.runtime import FACE_SIZE
from atl_diffusion_node.warp import FaceWarp, apply_warp
from atl_face.align import CropTransform
from atl_face.media import read_frames
from atl_training.splits import held_out

FRAMES = 4  # of a segment: the U-Net's temporal field of view
NEUTRAL_SHARE = 0.6  # of the segments take the clip's first frame (mouth closed) as portrait; the rest any frame
JITTER = 0.5 / FACE_SIZE  # crop sides: constant landmark error of half the segments, as a predictor would make it


@dataclass(frozen=True)
class Clip:
    """A clip to be cut: its video, its landmarks (npz with `landmarks` (T, 68, 3) px), and the key that splits it."""

    name: str
    video: Path
    track: Path
    split_key: str
    segments: int


def corpus_clips(folder: Path, segments: int) -> list[Clip]:
    """Rendered clips `<identity>_<n>.mp4` with their npz; split by identity."""
    return [Clip(p.stem, p, p.with_suffix(".npz"), p.stem.rsplit("_", 1)[0], segments)
            for p in sorted(folder.glob("*.mp4")) if p.with_suffix(".npz").exists()]  # fmt: skip


def grid_clips(videos: Path, tracks: Path, segments: int, every: int) -> list[Clip]:
    """Every `every`th GRID clip that `atl_training.grid` tracked; split by clip."""
    return [Clip(p.stem, videos / f"{p.stem}.mp4", p, p.stem, segments) for p in sorted(tracks.glob("*.npz"))[::every]
            if not p.stem.endswith(".part")]  # fmt: skip


def cut(clip: Clip, seed: int) -> dict[str, np.ndarray]:
    """The arrays of a clip's segments, (n, ...) each; see `ARRAYS`."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, *clip.name.encode()])
    frames = list(read_frames(clip.video))
    with np.load(clip.track) as track:
        landmarks = track["landmarks"]
    count = min(len(frames), len(landmarks))
    warp = FaceWarp(reference_landmarks())
    out: dict[str, list] = {name: [] for name in ARRAYS}
    for _ in range(clip.segments):
        portrait = 0 if rng.random() < NEUTRAL_SHARE else int(rng.integers(count))
        start = int(rng.integers(0, count - FRAMES + 1))
        transform = CropTransform.from_landmarks(landmarks[portrait])
        neutral = transform.to_crop(landmarks[portrait])
        points = transform.to_crop(landmarks[start:start + FRAMES])
        if rng.random() < 0.5:
            points[..., :2] += rng.normal(0, JITTER, (1, 68, 2))
        crop = transform.extract(frames[portrait], FACE_SIZE)
        out["portrait"].append(crop)
        out["neutral"].append(neutral[:, :2].astype(np.float32))
        out["points"].append(points[..., :2].astype(np.float32))
        out["target"].append([transform.extract(f, FACE_SIZE) for f in frames[start:start + FRAMES]])
        out["warped"].append([apply_warp(crop, warp.displacement(neutral, p, FACE_SIZE)) for p in points])
        out["rasters"].append([rasters(p, FACE_SIZE // 2) for p in points])
        out["real"].append("grid" in str(clip.track.parent))
    return {name: np.asarray(values) for name, values in out.items()}


ARRAYS = {
    "portrait": ((FACE_SIZE, FACE_SIZE, 3), np.uint8),
    "neutral": ((68, 2), np.float32),
    "points": ((FRAMES, 68, 2), np.float32),
    "target": ((FRAMES, FACE_SIZE, FACE_SIZE, 3), np.uint8),
    "warped": ((FRAMES, FACE_SIZE, FACE_SIZE, 3), np.uint8),
    "rasters": ((FRAMES, FACE_SIZE // 2, FACE_SIZE // 2, 3), np.uint8),
    "real": ((), np.bool_),
}


def pack(clips: list[Clip], out: Path, seed: int, workers: int) -> int:
    """Write the segments of all clips into the folder `out`; returns how many."""
    total = sum(clip.segments for clip in clips)
    if not total:
        return 0
    out.mkdir(parents=True, exist_ok=True)
    maps = {name: open_memmap(out / f"{name}.npy", "w+", dtype, (total, *shape))
            for name, (shape, dtype) in ARRAYS.items()}  # fmt: skip
    at = 0
    with Pool(workers) as pool:
        jobs: Iterator[dict[str, np.ndarray]] = pool.imap(_cut_job, [(clip, seed) for clip in clips])
        for arrays in tqdm(jobs, total=len(clips), desc=str(out)):
            count = len(arrays["real"])
            for name, values in arrays.items():
                maps[name][at:at + count] = values
            at += count
    return total


def _cut_job(job: tuple[Clip, int]) -> dict[str, np.ndarray]:
    return cut(*job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="folder of the rendered corpus")
    parser.add_argument("--grid-clips", type=Path, help="GRID's video files")
    parser.add_argument("--grid-tracks", type=Path, help="what atl_training.grid wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus-segments", type=int, default=12, help="segments of a corpus clip")
    parser.add_argument("--grid-segments", type=int, default=4, help="segments of a GRID clip")
    parser.add_argument("--grid-every", type=int, default=3, help="take every so-manyth GRID clip: one man, much alike")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    clips = corpus_clips(arguments.corpus, arguments.corpus_segments) if arguments.corpus else []
    if arguments.grid_tracks:
        clips += grid_clips(arguments.grid_clips, arguments.grid_tracks, arguments.grid_segments, arguments.grid_every)
    for split, held in (("val", True), ("train", False)):
        chosen = [clip for clip in clips if held_out(clip.split_key) == held]
        print(split, pack(chosen, arguments.out / split, arguments.seed, arguments.workers), "segments")


if __name__ == "__main__":
    main()
