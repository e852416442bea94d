"""Held-out people of the studio on their own faces: landmarks of a 3D head that speaks, and what the stage gives its portrait.

`on_draft` judges what speech does to the average face; here the truth is the head's own, with its asymmetry, its lips that
meet instead of crossing and its own way of opening, and the stage knows of it what a portrait tells: the neutral landmarks.
"""
from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from atl_face.topology import ARKIT_52, EYE_LEFT, EYE_RIGHT, SPEECH
from atl_landmark_node.face_model import PortraitFace
from atl_landmark_node.stream import landmarks_of
from atl_training.figures import summed
from atl_training.landmarks.fit import level_to
from atl_training.landmarks.judge import energy_jaw
from atl_training.landmarks.report.baselines import nearest_viseme
from atl_training.landmarks.report.clips import DraftClip, Stage
from atl_training.landmarks.report.closures import closures
from atl_training.landmarks.report.figures import of_motion, signed_gap

NEUTRAL = "neutral"  # emotion: others move the mouth beside speech


def on_people(stage: Stage, clips: list[DraftClip]) -> dict:
    """Per style of motion: number of clips and people, rows of figures; of clips without emotion.

    All is levelled onto the person's neutral landmarks by the points that speech leaves alone, so that head motion, true or
    generated, has no part in it. Mean motion is the mean of the judged clips' own true motion, in eye distances.
    """
    result = {}
    for style in stage.models:
        group = [clip for clip in clips if clip.style == style and clip.emotion == NEUTRAL]
        if not group:
            continue
        true = [levelled(clip.landmarks, clip.neutral) for clip in group]
        faces = [PortraitFace(upright(clip.neutral)) for clip in group]
        mean = np.mean(np.concatenate([(t - face.neutral) / face.scale for t, face in zip(true, faces, strict=True)]), axis=0)
        made = {
            "ground truth": true,
            "ours": [levelled([frame.points for frame in landmarks_of(clip.sound, clip.neutral, stage.models[style])],
                              clip.neutral)[: len(clip.landmarks)] for clip in tqdm(group, desc="people")],
            "nearest viseme": [_spoken(face, nearest_viseme(clip.visemes)) for clip, face in zip(group, faces, strict=True)],
            "energy jaw": [_spoken(face, energy_jaw(clip.sound, len(clip.landmarks)))
                           for clip, face in zip(group, faces, strict=True)],
            "mean motion": [np.tile(face.neutral + mean * face.scale, (len(points), 1, 1))
                            for points, face in zip(true, faces, strict=True)],
        }  # fmt: skip
        gaps = {name: [signed_gap(points) for points in row] for name, row in made.items()}
        phonemes = [clip.phonemes for clip in group]
        result[style] = {"clips": len(group), "people": len({clip.neutral.tobytes() for clip in group}), "rows": {
            name: summed([of_motion(a, b) for a, b in zip(true, row, strict=True)])
            | {"closures": closures(gaps["ground truth"], gaps[name], phonemes)} for name, row in made.items()}}  # fmt: skip
    return result


def upright(points: np.ndarray) -> np.ndarray:
    """Landmarks (..., 68, 3) turned in the picture so that the first face's eyes are level: some of the studio's cameras roll."""
    first = points.reshape(-1, 68, 3)[0]
    across = first[EYE_LEFT].mean(0) - first[EYE_RIGHT].mean(0)
    roll = np.arctan2(across[1], across[0])
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return points @ turn


def levelled(points: Iterable[np.ndarray], neutral: np.ndarray) -> np.ndarray:
    """Every (68, 3) as its head would stand on the upright neutral landmarks (68, 3): (T, 68, 3)."""
    place = upright(neutral)
    return np.stack([level_to(place, frame.astype(np.float64)) for frame in points])


def _spoken(face: PortraitFace, speech: np.ndarray) -> np.ndarray:
    """What speech weights (T, n) make of a face, (T, 68, 3)."""
    weights = np.zeros((len(speech), len(ARKIT_52)))
    weights[:, SPEECH] = speech
    return np.stack([face.points(row) for row in weights])
