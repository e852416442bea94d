"""Held-out people and voices of the studio: the mouth against what speech truly does, closures, teeth; by language and voice."""
from collections import defaultdict
from collections.abc import Callable
from itertools import compress

import numpy as np
from tqdm import tqdm

from atl_landmark_node.face_model import load_basis
from atl_training.figures import summed, with_interval
from atl_training.landmarks.judge import energy_jaw, points_of
from atl_training.landmarks.report.baselines import nearest_viseme
from atl_training.landmarks.report.clips import DraftClip, Stage, by_style
from atl_training.landmarks.report.closures import closures
from atl_training.landmarks.report.figures import of_motion, signed_gap
from atl_training.landmarks.report.teeth import Teeth, to_teeth

_, _NEUTRAL = load_basis()
LEAST_CLIPS = 3  # of a language or voice that has a line of its own

# (n,) sound, style, the portrait's neutral (68, 3) -> landmarks (T, 68, 3) in its unit, without head motion
Driver = Callable[[np.ndarray, str, np.ndarray], np.ndarray]


def on_draft(stage: Stage, clips: list[DraftClip], teeth: Teeth | None, others: dict[str, Driver]) -> dict:
    """Per style of motion (rules, real): rows of figures, ours (in the clip's own style) and the baselines; `unseen`: the same of
    those clips alone in an engine's voice that no training heard, and `read`, that such people read, where there are any; ours by
    language and voice. Intervals of `unseen` draw its `speakers`; those of `read` draw clips, which don't tell who
    reads.

    others: more networks to compare, by name.
    """
    result = {}
    for style, group in by_style(clips).items():
        rows = _made(stage, group)
        points = {name: [driver(clip.sound, style, _NEUTRAL) for clip in tqdm(group, desc=name)]
                  for name, driver in others.items()}  # fmt: skip
        result[style] = _table(group, rows, points, teeth)
        for name, read in (("unseen", False), ("read", True)):
            if any(those := [clip.is_new_voice and clip.is_read == read for clip in group]):
                kept = [{row: list(compress(made, those)) for row, made in table.items()} for table in (rows, points)]
                chosen = list(compress(group, those))
                speakers = None if read else [clip.speaker for clip in chosen]
                result[style][name] = _table(chosen, *kept, teeth, speakers)
        for kind in ("language", "voice"):
            result[style][f"by_{kind}"] = _grouped(group, rows["ours"], kind)
    return result


def _table(clips: list[DraftClip], rows: dict, points: dict, teeth: Teeth | None, speakers: list[str] | None = None) -> dict:
    """The number of clips, and figures by row: of weights (T, n), and of landmarks (T, 68, 3) by clip. speakers: of the clips,
    where intervals are to draw these; their number is told then."""
    figures = {name: _figures(clips, made, teeth, speakers) for name, made in rows.items()}
    figures |= {name: _of_points(clips, made, speakers) for name, made in points.items()}
    return {"clips": len(clips)} | ({"speakers": len(set(speakers))} if speakers else {}) | {"rows": figures}


def _made(stage: Stage, clips: list[DraftClip]) -> dict[str, list[np.ndarray]]:
    """Row -> weights (T, n) by clip. The mean is that of the true motion of these very clips."""
    mean = np.mean(np.concatenate([clip.weights for clip in clips]), axis=0)
    made = {"ground truth": [clip.weights for clip in clips],
            "ours": [stage.spoken(clip.sound, clip.style) for clip in tqdm(clips, desc="ours")]}  # fmt: skip
    return made | {
        "nearest viseme": [nearest_viseme(clip.visemes) for clip in clips],
        "energy jaw": [energy_jaw(clip.sound, len(clip.weights)) for clip in clips],
        "mean motion": [np.tile(mean, (len(clip.weights), 1)) for clip in clips],
    }


def _figures(clips: list[DraftClip], made: list[np.ndarray], teeth: Teeth | None, speakers: list[str] | None) -> dict:
    figures = _of_points(clips, [points_of(weights) for weights in made], speakers)
    if teeth:
        figures["teeth"] = to_teeth(teeth, [clip.weights for clip in clips], made, [clip.phonemes for clip in clips])
    return figures


def _of_points(clips: list[DraftClip], made: list[np.ndarray], speakers: list[str] | None) -> dict:
    """Figures of landmarks (T, 68, 3) on the average face by clip."""
    true = [points_of(clip.weights) for clip in clips]
    figures = summed([of_motion(a, b) for a, b in zip(true, made, strict=True)], speakers)
    gaps = [[signed_gap(points) for points in row] for row in (true, made)]
    figures["closures"] = closures(*gaps, [clip.phonemes for clip in clips])
    return figures


def _grouped(clips: list[DraftClip], made: list[np.ndarray], kind: str) -> dict:
    """Ours for every language or voice with LEAST_CLIPS clips."""
    groups = defaultdict(list)
    for clip, weights in zip(clips, made, strict=True):
        motion = of_motion(points_of(clip.weights), points_of(weights))
        groups[getattr(clip, kind)].append(motion)
    return {name: {"clips": len(rows)} | {key: with_interval(row[key] for row in rows) for key in ("gap_r", "m_lmd")}
            for name, rows in sorted(groups.items(), key=lambda item: -len(item[1])) if len(rows) >= LEAST_CLIPS}  # fmt: skip
