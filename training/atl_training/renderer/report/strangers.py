"""Portraits of real people whom no training saw, in motion: do they stay who they are, and do their lips follow?"""
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_diffusion_node.portrait import load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.metrics.identity import Embedder, embeddings, identity
from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.topology import lip_gap
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.evaluate import EVERY, HEIGHT_PX, followed
from atl_training.figures import rounded, summed
from atl_training.splits import held_out
from atl_training.ways import draw


def on_strangers(folder: Path, people: int, renderers: dict[str, FaceRenderer], model: SpeechModel, sound: np.ndarray) -> dict:
    """By renderer, means over portraits that are held out by name, with intervals: `identity_verified` against the portrait, % of
    the sentence's frames (every third is embedded); `r` and `amplitude` of the lip gap that mediapipe sees against the one that
    drives; `worst_verified` and `worst_r` of anyone.

    Raises:
        UserError: no picture in the folder is held out.
    """
    paths = [path for path in sorted(folder.glob("*.jpg")) if held_out(path.stem)][:people]
    if not paths:
        raise UserError(f"{folder} has no .jpg that is held out by its name.")
    embed = Embedder()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in renderers}
    for path in tqdm(paths, desc="portraits"):
        portrait = load_portrait(path, HEIGHT_PX)
        own = embeddings(embed, [portrait.picture])[0]
        points = np.stack([frame.points for frame in landmarks_of(sound, portrait.neutral, model)])
        for name, renderer in renderers.items():
            frames = draw(renderer, portrait, points)
            stays = identity(own, embeddings(embed, frames[::EVERY]))
            rows[name].append(stays | followed(lip_gap(points), lip_gap(track(frames))))
    told = {name: summed(row) | {"worst_verified": _least(row, "identity_verified"), "worst_r": _least(row, "r")}
            for name, row in rows.items()}  # fmt: skip
    return {"people": len(paths), "rows": told}


def _least(rows: list[dict[str, float]], name: str) -> float | None:
    """The lowest figure of anyone who has it."""
    return rounded(min((row[name] for row in rows if np.isfinite(row[name])), default=float("nan")), 3)
