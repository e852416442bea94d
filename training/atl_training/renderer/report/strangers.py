"""Portraits of real people whom no training saw, in motion: do they stay who they are, and do their lips follow?"""
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_diffusion_node.portrait import Portrait, load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.metrics import motion
from atl_evaluation.metrics.identity import Embedder, embeddings, floor_of, identity
from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.topology import lip_gap
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.figures import rounded, summed
from atl_training.splits import held_out
from atl_training.ways import draw

HEIGHT_PX = 512
IMPOSTORS = 20  # pictures of other people, whom no training saw either
EVERY = 3  # every third frame is embedded: neighbours are alike, and the embedding is the slowest part


def on_strangers(folder: Path, people: int, renderers: dict[str, FaceRenderer], model: SpeechModel, sound: np.ndarray) -> dict:
    """By renderer, means over portraits that are held out by name, with intervals: what `identity` tells against the portrait
    and against IMPOSTORS others; `floor`, the portrait's distance to itself, blurred by a pixel; `r` and `amplitude` of the lip
    gap that mediapipe sees against the one that drives; `outside_untouched`, % of the frames in which every pixel that the drawn
    face doesn't reach is the portrait's; `worst_verified` and `worst_r` of anyone.

    Raises:
        UserError: no picture in the folder is held out.
    """
    paths = [path for path in sorted(folder.glob("*.jpg")) if held_out(path.stem)]
    if not paths:
        raise UserError(f"{folder} has no .jpg that is held out by its name.")
    embed = Embedder()
    impostors = embeddings(embed, (load_portrait(path, HEIGHT_PX).picture for path in paths[people:]))
    impostors = impostors[np.isfinite(impostors[:, 0])][:IMPOSTORS]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in renderers}
    for path in tqdm(paths[:people], desc="portraits"):
        portrait = load_portrait(path, HEIGHT_PX)
        own, floor = embeddings(embed, [portrait.picture])[0], floor_of(embed, portrait.picture)
        points = np.stack([frame.points for frame in landmarks_of(sound, portrait.neutral, model)])
        driven = lip_gap(points)
        for name, renderer in renderers.items():
            frames = draw(renderer, portrait, points)
            seen = lip_gap(track(frames))
            rows[name].append(identity(own, embeddings(embed, frames[::EVERY]), impostors) | {
                "floor": floor, "outside_untouched": _untouched(portrait, frames),
                "r": motion.correlation(driven, seen), "amplitude": motion.gap_amplitude(driven, seen)})  # fmt: skip
    told = {name: summed(row) | {"worst_verified": _least(row, "identity_verified"), "worst_r": _least(row, "r")}
            for name, row in rows.items()}  # fmt: skip
    return {"people": len(paths[:people]), "impostors": len(impostors), "rows": told}


def _untouched(portrait: Portrait, frames: np.ndarray) -> float:
    """% of the frames (T, H, W, 3) that are the portrait's picture where the drawn face doesn't reach."""
    outside = np.ones(portrait.picture.shape[:2], bool)
    outside[portrait.region] = portrait.feather[..., 0] == 0
    return 100 * float(np.mean([np.array_equal(frame[outside], portrait.picture[outside]) for frame in frames]))


def _least(rows: list[dict[str, float]], name: str) -> float | None:
    """The lowest figure of anyone who has it."""
    return rounded(min((row[name] for row in rows if np.isfinite(row[name])), default=float("nan")), 3)
