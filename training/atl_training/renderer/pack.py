"""Cut clips into short segments and pack what the renderer trains on: portrait, target, warped portrait, rasters.

    python -m atl_training.renderer.pack --corpus DIR --grid-clips DIR --grid-tracks DIR --out DIR

A segment is T consecutive frames of a clip, and one other frame or still of it as the portrait; its crop is the
portrait's, as at run time. Arrays lie in the folder as .npy files and are memory-mapped in training. Held-out identities
(corpus) and clips (GRID) go to OUT/val, the rest to OUT/train, by `splits.held_out`.
"""
import argparse
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
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
NEUTRAL_SHARE = 0.4  # of the segments take the clip's first frame (mouth closed) as portrait ...
STILL_SHARE = 0.4  # ... and these, where the clip has them, a still that smiles or gapes; the rest any frame
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
    stills = clip.video.with_suffix(".stills.mp4")
    with np.load(clip.track) as track:
        landmarks = track["landmarks"]
        count = min(len(frames), len(landmarks))
        frames, landmarks = frames[:count], landmarks[:count]
        if stills.exists():
            frames += read_frames(stills)
            landmarks = np.concatenate([landmarks, track["still_landmarks"]])
    warp = warper()
    segments = []
    for _ in range(clip.segments):
        kind = rng.random()
        if kind < NEUTRAL_SHARE:
            portrait = 0
        elif kind < NEUTRAL_SHARE + STILL_SHARE and len(frames) > count:
            portrait = int(rng.integers(count, len(frames)))
        else:
            portrait = int(rng.integers(count))
        start = int(rng.integers(0, count - FRAMES + 1))
        transform = CropTransform.from_landmarks(landmarks[portrait])
        points = transform.to_crop(landmarks[start:start + FRAMES])
        if rng.random() < 0.5:
            points[..., :2] += rng.normal(0, JITTER, (1, 68, 2))
        segments.append(segment(
            transform.extract(frames[portrait], FACE_SIZE), transform.to_crop(landmarks[portrait]), points,
            [transform.extract(f, FACE_SIZE) for f in frames[start:start + FRAMES]], warp,
        ))  # fmt: skip
    return stack(segments)


def warper() -> FaceWarp:
    """The warp that the renderer uses."""
    return FaceWarp(reference_landmarks())


def segment(portrait: np.ndarray, neutral: np.ndarray, points: np.ndarray, target: list[np.ndarray],
            warp: FaceWarp) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of one segment from its crops and landmarks (68, 3) and (T, 68, 3), crop coordinates."""
    return {
        "portrait": portrait,
        "neutral": neutral[:, :2].astype(np.float32),
        "points": points[..., :2].astype(np.float32),
        "target": np.stack(target),
        "warped": np.stack([apply_warp(portrait, warp.displacement(neutral, p, FACE_SIZE)) for p in points]),
        "rasters": np.stack([rasters(p, FACE_SIZE // 2) for p in points]),
    }


def stack(segments: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One array a name, the segments in the first axis."""
    return {name: np.stack([s[name] for s in segments]) for name in ARRAYS}


ARRAYS = {
    "portrait": ((FACE_SIZE, FACE_SIZE, 3), np.uint8),
    "neutral": ((68, 2), np.float32),
    "points": ((FRAMES, 68, 2), np.float32),
    "target": ((FRAMES, FACE_SIZE, FACE_SIZE, 3), np.uint8),
    "warped": ((FRAMES, FACE_SIZE, FACE_SIZE, 3), np.uint8),
    "rasters": ((FRAMES, FACE_SIZE // 2, FACE_SIZE // 2, 3), np.uint8),
}


def pack(jobs: list, cut_job, out: Path, workers: int) -> int:
    """Write the segments of all jobs into the folder `out`; returns how many.

    Args:
        jobs: each has `segments`, how many it gives.
        cut_job: a picklable function of a job that gives their arrays.
    """
    total = sum(job.segments for job in jobs)
    if not total:
        return 0
    out.mkdir(parents=True, exist_ok=True)
    maps = {name: open_memmap(out / f"{name}.npy", "w+", dtype, (total, *shape))
            for name, (shape, dtype) in ARRAYS.items()}  # fmt: skip
    at = 0
    with get_context("spawn").Pool(workers) as pool:  # a fork would inherit the threads of the caller's libraries
        for arrays in tqdm(pool.imap(cut_job, jobs), total=len(jobs), desc=str(out)):
            count = len(arrays["portrait"])
            for name, values in arrays.items():
                maps[name][at:at + count] = values
            at += count
    return total


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
        print(split, pack(chosen, partial(cut, seed=arguments.seed), arguments.out / split, arguments.workers), "segments")


if __name__ == "__main__":
    main()
