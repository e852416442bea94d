"""Cut clips into short segments and pack what the renderer trains on: portrait, target, warped portrait.

    python -m atl_training.renderer.pack --shards DIR --out DIR

A segment is T consecutive frames of a clip, and one other frame or still of it as the portrait; its crop is the
portrait's, as at run time. Arrays lie in the folder as .npy files and are memory-mapped in training. Held-out clips go to
OUT/val, the rest to OUT/train.
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

from atl_diffusion_node.lips import LipLine
from atl_diffusion_node.paste import ROOM
from atl_diffusion_node.renderer import reference_landmarks
from atl_diffusion_node.runtime import FACE_SIZE
from atl_diffusion_node.warp import FaceWarp
from atl_face.align import CropTransform
from atl_training.augment import CameraNoise
from atl_training.shards import Sample, find_shards, read_facts, read_shards, share_alike
from atl_training.tool import run_tool
from atl_training.workers import begin_worker

FRAMES = 4  # of a segment: the U-Net's temporal field of view
NEUTRAL_SHARE = 0.4  # of the segments take the clip's first frame (mouth closed) as portrait ...
STILL_SHARE = 0.4  # ... and these, where the clip has them, a still that smiles or gapes; the rest any frame
CLIPS_A_JOB = 8  # a job's segments lie in memory at once, 2 MB each
NOISY_SHARE = 0.3  # of the segments were taken by a worse camera: portraits come from phones and mails
JITTER = 0.5 / FACE_SIZE  # crop sides: constant landmark error of half the segments, as a predictor would make it


@dataclass(frozen=True)
class Job:
    """Clips of one shard to be cut, and how many segments of each."""

    shard: Path
    keys: tuple[str, ...]
    each: int

    @property
    def segments(self) -> int:
        return len(self.keys) * self.each


def plan(shards: list[Path], each: int, every: int) -> dict[str, list[Job]]:
    """Jobs per split: every `every`th rendered or filmed clip of the shards that isn't `share_alike`, `each` segments of it."""
    jobs: dict[str, list[Job]] = {"val": [], "train": []}
    number = 0
    for shard in find_shards(shards):
        keys: dict[str, list[str]] = {split: [] for split in jobs}
        for key, facts in read_facts(shard):
            if facts["size"] and not share_alike(facts):
                if number % every == 0:
                    keys[facts["split"]].append(key)
                number += 1
        for split, chosen in keys.items():
            jobs[split] += [Job(shard, tuple(chosen[at:at + CLIPS_A_JOB]), each) for at in range(0, len(chosen), CLIPS_A_JOB)]
    return jobs


def cut(job: Job, seed: int) -> dict[str, np.ndarray]:
    """The arrays of the segments of a shard's clips, (n, ...) each; see `ARRAYS`."""
    cv2.setNumThreads(1)
    chosen = (sample for sample in read_shards([job.shard]) if sample.key in job.keys)
    return stack([piece for sample in chosen for piece in _cut_clip(sample, job.each, seed)])


def _cut_clip(sample: Sample, segments_wanted: int, seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng([seed, *sample.key.encode()])
    frames, landmarks = sample.frames(), sample.arrays["landmarks"]
    count = min(len(frames), len(landmarks))
    frames, landmarks = frames[:count], landmarks[:count]
    if sample.stills:
        frames += sample.still_frames()
        landmarks = np.concatenate([landmarks, sample.arrays["still_landmarks"]])
    warp = warper()
    segments = []
    for _ in range(segments_wanted):
        camera = CameraNoise(rng) if rng.random() < NOISY_SHARE else None
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
        pictures = [frames[portrait], *frames[start:start + FRAMES]]
        if camera:
            pictures = [camera(picture) for picture in pictures]
        crops = [transform.extract(picture, FACE_SIZE) for picture in pictures[1:]]
        still = ROOM.cut(transform, pictures[0])
        segments.append(segment(still, transform.to_crop(landmarks[portrait]), points, crops, warp))
    return segments


def warper() -> FaceWarp:
    """The warp that the renderer uses."""
    return FaceWarp(reference_landmarks())


def segment(portrait: np.ndarray, neutral: np.ndarray, points: np.ndarray, target: list[np.ndarray],
            warp: FaceWarp) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of one segment from its crops and landmarks (68, 3) and (T, 68, 3), crop coordinates; the portrait's has its
    ROOM."""
    line = LipLine.of(portrait[ROOM.crop], neutral)
    warped = [warp.warped(portrait, neutral, p, ROOM) for p in points]
    for picture, p in zip(warped, points, strict=True):
        line.cover(picture, p, lambda xy: xy * FACE_SIZE)  # as the renderer does it
    return {
        "portrait": portrait[ROOM.crop],
        "neutral": neutral[:, :2].astype(np.float32),
        "points": points[..., :2].astype(np.float32),
        "target": np.stack(target),
        "warped": np.stack(warped),
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
    maps = {name: open_memmap(out / f"{name}.part", "w+", dtype, (total, *shape))
            for name, (shape, dtype) in ARRAYS.items()}  # fmt: skip
    at = 0
    with get_context("spawn").Pool(workers, begin_worker) as pool:  # a fork would inherit the threads of the caller's libraries
        for arrays in tqdm(pool.imap(cut_job, jobs), total=len(jobs), desc=str(out)):
            count = len(arrays["portrait"])
            for name, values in arrays.items():
                maps[name][at:at + count] = values
            at += count
    for name, array in maps.items():  # only now do they look whole
        array.flush()
        (out / f"{name}.part").replace(out / f"{name}.npy")
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="rendered corpus, or loaded real video")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=6, help="of a clip")
    parser.add_argument("--every", type=int, default=1, help="take every so-manyth clip: one man's are much alike")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for split, jobs in plan(arguments.shards, arguments.segments, arguments.every).items():
        print(split, pack(jobs, partial(cut, seed=arguments.seed), arguments.out / split, arguments.workers), "segments")


if __name__ == "__main__":
    run_tool(main)
