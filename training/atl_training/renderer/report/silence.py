"""Silence: the mouth is still, the face is not."""
import numpy as np

from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.metrics.motion import blink_rate
from atl_evaluation.metrics.tracking import track
from atl_face.stream import SAMPLE_RATE
from atl_face.topology import is_closed, lip_gap
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.ways import draw

SECONDS = 30.0
ROOM_DBFS = -55.0  # of white noise: a quiet room


def in_silence(renderer: FaceRenderer, model: SpeechModel, portrait: Portrait) -> dict[str, dict[str, float]]:
    """By kind of silence: `closed_landmarks` and `closed_seen`, the share of frames with a closed mouth in the landmarks and as
    mediapipe sees it; `blinks_a_minute`."""
    result = {}
    room = np.random.default_rng(0).standard_normal(int(SECONDS * SAMPLE_RATE)) * 10 ** (ROOM_DBFS / 20)
    for name, sound in (("digital silence", np.zeros_like(room)), (f"room noise at {ROOM_DBFS:.0f} dBFS", room)):
        points = np.stack([frame.points for frame in landmarks_of(sound.astype(np.float32), portrait.neutral, model)])
        seen = track(draw(renderer, portrait, points))
        result[name] = {
            "closed_landmarks": round(float(is_closed(lip_gap(points)).mean()), 4),
            "closed_seen": round(float(is_closed(lip_gap(seen)).mean()), 4),
            "blinks_a_minute": round(blink_rate(seen), 1),
        }
    return result
