"""Many clips on several processes: resumable, the same for the same seed, first clip of everybody first."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_training.corpus.assets import Assets
from atl_training.corpus.clip import VERSION, identity_name, make_cast, make_clip
from atl_training.corpus.head import HeadKit
from atl_training.corpus.look import random_scene
from atl_training.corpus.speech import Speaker


@lru_cache(maxsize=1)
def _workshop(makehuman: Path, cache: Path, size: int, draft: bool):
    """What a worker process keeps: assets, kit, speech engines, OpenGL context."""
    cv2.setNumThreads(1)
    assets = Assets(makehuman, cache)
    kit = HeadKit(assets)
    if draft:
        return assets, kit, Speaker(cache), None
    from atl_training.corpus.renderer import Renderer  # only here: a draft needs no OpenGL

    return assets, kit, Speaker(cache), Renderer(kit, size)


def _make(makehuman: Path, cache: Path, out: Path, name: str, clips: list[int], seconds: float, size: int,
          draft: bool) -> int:  # fmt: skip
    assets, kit, speaker, renderer = _workshop(makehuman, cache, size, draft)
    cast = make_cast(assets, kit, name)
    for number, index in enumerate(clips):
        if renderer is not None and number == 0:
            renderer.set_head(cast.head, cast.person, random_scene(np.random.default_rng(0)))
        make_clip(cast, index, out, speaker, renderer, seconds=seconds, size=size)
    return len(clips)


def is_finished(truth: Path) -> bool:
    """Whether a clip is there, made by this version of the generator."""
    if not truth.exists():
        return False
    with np.load(truth) as kept:
        return int(kept["version"]) == VERSION


def make_corpus(makehuman: Path, cache: Path, out: Path, *, identities: int, clips: int, seconds: float, size: int,
                seed: int, workers: int, draft: bool) -> None:  # fmt: skip
    """Write the corpus into `out`; finished clips are skipped."""
    out.mkdir(parents=True, exist_ok=True)
    Assets(makehuman, cache)  # parse once before the workers start
    names = [identity_name(seed, index) for index in range(identities)]
    # Everybody's clip n before anybody's clip n + 1: a corpus cut short still has all identities.
    groups = [(name, [index]) for index in range(clips) for name in names]
    todo = [(name, [i for i in group if not is_finished(out / f"{name}_{i}.npz")]) for name, group in groups]
    todo = [(name, group) for name, group in todo if group]
    # One thread per process: llvmpipe rasters in the caller's thread, and no pool of idle threads spins.
    os.environ |= {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    fresh = multiprocessing.get_context("spawn")  # a fork would inherit numpy's threads
    total = sum(len(group) for _, group in todo)
    with ProcessPoolExecutor(workers, mp_context=fresh) as pool, tqdm(total=total, unit="clip") as bar:
        jobs = [pool.submit(_make, makehuman, cache, out, name, group, seconds, size, draft) for name, group in todo]
        try:
            for job in as_completed(jobs):
                bar.update(job.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # don't work on for hours before saying what is wrong
            raise
