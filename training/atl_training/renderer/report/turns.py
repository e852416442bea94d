"""The studio's people, whom no training saw, as they turn their heads away from the portrait: drawn from the true landmarks.

Film of heads that turn so far was not at hand; the studio knows what is behind a cheek.
"""
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.metrics.identity import Embedder, embeddings, identity
from atl_evaluation.metrics.picture import psnr
from atl_face.topology import mouth_box
from atl_training.corpus.rotation import rotation_matrix
from atl_training.figures import summed
from atl_training.renderer.report.crop import FaceCrop
from atl_training.shards import Sample
from atl_training.ways import FROM_TRUE, TRUTH, Clip, draw

TURNS = (0, 10, 15, 20, 180)  # degrees: the ends of the bins
EVERY = 3  # frames of a clip that are judged: neighbours are alike


def turned_by(rotation: np.ndarray) -> np.ndarray:
    """How far each head (T, 3) rad is turned from the first, about whatever axis: degrees (T,)."""
    matrices = rotation_matrix(rotation.astype(np.float64))
    cosine = (np.trace(matrices[0].T @ matrices, axis1=-2, axis2=-1) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def on_turns(samples: list[Sample], renderers: dict[str, FaceRenderer]) -> dict:
    """By how far the head is turned from the clip's first frame, the portrait: `frames`, and `rows` by way: `psnr` and
    `psnr_mouth` in the square of `FaceCrop`, dB, `identity_distance` and `identity_verified` (% of the frames; dlib) against the
    portrait; means over the clips that have such frames, with intervals."""
    embed, bins = Embedder(), list(pairwise(TURNS))
    rows: dict[tuple, dict[str, list[dict]]] = {turn: {} for turn in bins}
    frames_of = dict.fromkeys(bins, 0)
    for sample in tqdm(samples, desc="turns"):
        clip = Clip.of(sample)
        count = len(clip.frames)
        turn, crop = turned_by(sample.arrays["rotation"][:count]), FaceCrop.of_face(clip.frames[0])
        own = embeddings(embed, [clip.portrait.picture])[0]
        ways = {TRUTH: clip.frames}
        for name, renderer in renderers.items():
            ways[f"{name} from {FROM_TRUE}"] = draw(renderer, clip.portrait, clip.true_points)
        judged = np.arange(1, count)[::EVERY]
        for low, high in bins:
            chosen = judged[(turn[judged] >= low) & (turn[judged] < high)]
            frames_of[low, high] += len(chosen)
            if not len(chosen):
                continue
            real, boxes = crop.pictures(clip.frames[chosen]), mouth_box(crop.points(clip.landmarks[chosen]))
            for way, frames in ways.items():
                made = crop.pictures(frames[chosen])
                figures = {"psnr": float(np.mean(psnr(real, made))), "psnr_mouth": float(np.mean(psnr(real, made, boxes)))}
                rows[low, high].setdefault(way, []).append(figures | identity(own, embeddings(embed, frames[chosen])))
    return {"clips": len(samples), "people": len({sample.facts["speaker"] for sample in samples}),
            "turns": [{"from": low, "to": high, "frames": frames_of[low, high], "clips": len(next(iter(by_way.values()), [])),
                       "rows": {way: summed(figures) for way, figures in by_way.items()}}
                      for (low, high), by_way in rows.items()]}  # fmt: skip
