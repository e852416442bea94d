"""Does a face stay who it is over minutes? And turned away from the portrait's pose?

The networks' memory is of three frames by construction (unet.py) and the guide noise is kept, so nothing can add up from minute
to minute unless it is in the landmarks; this measures that it doesn't.
"""
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.metrics.identity import Embedder, embeddings, identity
from atl_evaluation.metrics.statistics import mean_of
from atl_face.stream import FRAME_RATE, SAMPLE_RATE
from atl_face.topology import ARKIT_52
from atl_landmark_node.face_model import PortraitFace
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.figures import rounded
from atl_training.renderer.pack import FRAMES
from atl_training.renderer.report.turns import turned_by

MINUTE = 60 * FRAME_RATE  # frames
EVERY = 15  # frames of the first and the last minute that are embedded: 100 of each
ANGLES = tuple(range(-20, 21, 5))  # degrees, of yaw and of pitch
SHEET_EVERY = 2  # of the angles are on the sheet
CELL_PX = 320


def long_sound(sounds: list[np.ndarray], minutes: float) -> np.ndarray:
    """The sounds (n,) one after another, again and again, for so many minutes."""
    wanted, parts = round(minutes * 60 * SAMPLE_RATE), []
    for sound in cycle(sounds):
        if sum(map(len, parts)) >= wanted:
            return np.concatenate(parts)[:wanted]
        parts.append(sound)


def drift(portrait: Portrait, renderer: FaceRenderer, model: SpeechModel, sounds: list[np.ndarray], minutes: float) -> dict:
    """The last minute's frames against the first's, with the temporal state carried through.

    `similarity`: cosine of the two minutes' mean embeddings (different people average 0.84, so 0.99 is close but not the same to
    the bit); `distance`: of those means, where 0.38 is another person; `picture`: mean absolute difference of the minutes' mean
    frames, grey levels; `verified_last`: % of the last minute's frames that dlib takes for the portrait.
    """
    embed = Embedder()
    points = landmarks_of(long_sound(sounds, minutes), portrait.neutral, model)
    renderer.set_identity(portrait)
    minute = min(MINUTE, len(points) // 2)
    starts = {"first": 0, "last": len(points) - minute}
    sums = {name: np.zeros(portrait.picture.shape) for name in starts}
    seen: dict[str, list[np.ndarray]] = {name: [] for name in starts}
    for index, frame in enumerate(tqdm(points, desc="drift")):
        drawn = renderer.render(frame.points)
        for name, start in starts.items():
            if start <= index < start + minute:
                sums[name] += drawn
                if (index - start) % EVERY == 0:
                    seen[name].append(drawn)
    faces = {name: embeddings(embed, frames) for name, frames in seen.items()}
    a, b = (np.nanmean(faces[name], axis=0) for name in ("first", "last"))
    own = embeddings(embed, [portrait.picture])[0]
    return {"minutes": minutes, "frames": len(points), "similarity": rounded(a @ b / np.linalg.norm(a) / np.linalg.norm(b), 5),
            "distance": rounded(np.linalg.norm(a - b), 4),
            "picture": rounded(np.abs(sums["first"] - sums["last"]).mean() / minute, 3),
            "verified_last": rounded(identity(own, faces["last"])["identity_verified"], 2)}  # fmt: skip


def turned(portrait: Portrait, renderers: dict[str, FaceRenderer], sheet: Path | None) -> dict:
    """The portrait's head turned by every pair of ANGLES of yaw and pitch, mouth shut: by renderer, `verified`, % of them that
    dlib takes for the portrait, and `distance`, the mean; `near`, the same of those that are turned by no more than the largest
    of ANGLES about whatever axis. `sheet`: a picture of what the first renderer made, pitch by row (up to down), yaw by
    column."""
    embed, face = Embedder(), PortraitFace(portrait.neutral)
    own = embeddings(embed, [portrait.picture])[0]
    angles = np.radians([(pitch, yaw, 0) for pitch in ANGLES for yaw in ANGLES])
    poses = [face.points(np.zeros(len(ARKIT_52)), rotation) for rotation in angles]
    near = turned_by(np.concatenate([np.zeros((1, 3)), angles]))[1:] < max(ANGLES) + 0.5
    rows, drawn = {}, {}
    for name, renderer in renderers.items():
        renderer.set_identity(portrait)
        frames = drawn[name] = [[renderer.render(points) for _ in range(FRAMES)][-1] for points in poses]  # memory settles
        faces = embeddings(embed, frames)
        rows[name] = _verdict(own, faces) | {"near": _verdict(own, faces[near])}
    if sheet:
        _write_sheet(next(iter(drawn.values())), sheet)
    return {"poses": len(poses), "near": int(near.sum()), "rows": rows}


def _verdict(own: np.ndarray, faces: np.ndarray) -> dict[str, float]:
    figures = identity(own, faces)
    found = {"verified": figures["identity_verified"], "distance": figures["identity_distance"]}
    return {key: rounded(mean_of([value]), 3) for key, value in found.items()}


def _write_sheet(frames: list[np.ndarray], path: Path) -> None:
    count = len(ANGLES)
    cells = [cv2.resize(frame, (CELL_PX, round(CELL_PX * len(frame) / frame.shape[1])), interpolation=cv2.INTER_AREA)
             for frame in frames]  # fmt: skip
    rows = [np.hstack(cells[count * k: count * (k + 1): SHEET_EVERY]) for k in range(0, count, SHEET_EVERY)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
