"""What the sync expert says of faces that the default renderer drew from our landmarks, beside those that it drew from the
true ones. The head is held as it truly was in both, so only mouth and jaw differ."""
import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_evaluation.metrics.tracking import track
from atl_evaluation.sync import SyncExpert
from atl_face.topology import SPEECH
from atl_landmark_node.face_model import PortraitFace
from atl_training.figures import with_interval
from atl_training.landmarks.fit import closed_neutral, fit_speech_weights, level_to
from atl_training.landmarks.judge import energy_jaw
from atl_training.landmarks.report.clips import Stage
from atl_training.shards import Sample
from atl_training.ways import FROM_SOUND_POSED, FROM_TRUE, TRUTH, Clip, draw

FITTED = "fitted weights, true head pose"  # training's targets: the truth as far as speech weights can copy it
ENERGY = "energy jaw, true head pose"


def lip_sync(stage: Stage, samples: list[Sample]) -> dict:
    """Rows `lse_c` (confidence), `lse_d` (distance), `abs_offset` (frames, its size), means over clips with intervals; `of_true`,
    our confidence in % of that from the true landmarks: the means' ratio, with the interval over clips."""
    cv2.setNumThreads(1)
    renderer, expert = FaceRenderer(OpenVinoRuntime(1)), SyncExpert()
    scores: dict[str, list] = {}
    for sample in tqdm(samples, desc="sync"):
        clip = Clip.of(sample)
        for name, frames in _drawn(stage, clip, renderer):
            scores.setdefault(name, []).append(expert.score(frames, track(frames), clip.sound))
    rows = {name: {"lse_c": with_interval(s.confidence for s in row), "lse_d": with_interval(s.distance for s in row),
                   "abs_offset": with_interval(abs(s.offset) for s in row)} for name, row in scores.items()}  # fmt: skip
    ours, true = (np.array([s.confidence for s in scores[name]]) for name in (FROM_SOUND_POSED, FROM_TRUE))
    return {"clips": len(samples), "rows": rows, "of_true": with_interval(100 * ours / true, true)}


def _drawn(stage: Stage, clip: Clip, renderer: FaceRenderer):
    """Names and frames (T, H, W, 3)."""
    yield TRUTH, clip.frames
    points = clip.points(stage.model)
    for driver in (FROM_TRUE, FROM_SOUND_POSED):
        yield driver, draw(renderer, clip.portrait, points[driver])
    face, weights = PortraitFace(clip.portrait.neutral), np.zeros((len(clip.frames), 52))
    for name, spoken in ((FITTED, fit_speech_weights(clip.landmarks, closed_neutral(clip.landmarks))),
                         (ENERGY, energy_jaw(clip.sound, len(clip.frames)))):  # fmt: skip
        weights[:, SPEECH] = spoken
        held = [level_to(true, face.points(row)) for row, true in zip(weights, clip.true_points, strict=True)]
        yield name, draw(renderer, clip.portrait, np.stack(held))
