"""The held-out clips that are judged, and what the stage makes of their sound."""
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from atl_evaluation.metrics.motion import MAX_LAG
from atl_face.emotion import Expression
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import SPEECH, eye_distance
from atl_landmark_node.face_model import average_neutral
from atl_landmark_node.model import STYLES, SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.corpus.voices import VOICES, is_held_speaker
from atl_training.landmarks.fit import level_to
from atl_training.shards import Sample

SHIPPED = Path(str(resources.files("atl_landmark_node") / "data" / "speech_landmarks.onnx"))
LEAST_FRAMES = 2 * MAX_LAG + 10  # below: too few for a correlation at every lag


@dataclass
class DraftClip:
    """A held-out clip of the studio's, with its truth.

    Attributes:
        sound: (n,) float32, 16 kHz. weights: (T, len(SPEECH_WEIGHTS)), what speech alone does to the face.
        phonemes, visemes: (T,) names at the frames' middles. landmarks: (T, 68, 3) px; neutral: (68, 3), the same camera.
        moved: (68, 2) see `mean_face`, of all that moves the face. style: of `model.STYLES`.
    """

    key: str
    sound: np.ndarray
    weights: np.ndarray
    phonemes: np.ndarray
    visemes: np.ndarray
    style: str
    language: str
    voice: str
    emotion: str
    level: int
    landmarks: np.ndarray
    neutral: np.ndarray
    moved: np.ndarray

    @classmethod
    def of(cls, sample: Sample) -> "DraftClip":
        arrays, facts = sample.arrays, sample.facts
        count = min(len(arrays["speech_weights"]), len(sample.audio) // FRAME_SAMPLES)
        return cls(sample.key, sample.audio[: count * FRAME_SAMPLES], arrays["speech_weights"][:count].astype(np.float64),
                   arrays["phoneme"][:count], arrays["viseme"][:count], facts["motion"], facts["language"], facts["voice"],
                   facts["emotion"], facts["level"], arrays["landmarks"][:count], arrays["neutral"].astype(np.float64),
                   mean_face(arrays["landmarks"], arrays["neutral"]))  # fmt: skip

    @property
    def is_new_voice(self) -> bool:
        """Whether its speaker is held out, not its sentences alone."""
        return is_held_speaker(VOICES[self.voice])

    @property
    def speaker(self) -> str:
        """Who the voice truly is: several voices may be one."""
        return VOICES[self.voice].speaker

    @property
    def is_read(self) -> bool:
        """Whether a person says it whose recordings were aligned; else an engine says it, and when."""
        return VOICES[self.voice].engine == "real"


EASED = 25  # frames: an emotion comes within 0.6 s in the corpus (motion.EASE_S), in 0.5 s in the stream
EVERY = 5  # frames: neighbours are alike


def mean_face(landmarks: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """How far a clip's points (T, 68, 3) are from its neutral face (68, 3) in the mean, (68, 2) eye distances: every frame is
    levelled onto it, so where the head is doesn't count. The first second is left out: expressions ease in."""
    neutral = neutral.astype(np.float64)
    level = np.mean([level_to(neutral, points.astype(np.float64)) for points in landmarks[EASED::EVERY]], axis=0)
    return (level - neutral)[:, :2] / eye_distance(neutral)


def is_spoken(sample: Sample) -> bool:
    """Whether a clip is long enough to judge, and something is said in it: a mouth at rest has no motion to follow."""
    return len(sample.arrays["landmarks"]) > LEAST_FRAMES and sample.says_something


class Stage:
    """The landmark stage as it runs, with the styles that it knows.

    Args:
        path: the network (.onnx).
    """

    def __init__(self, path: Path = SHIPPED):
        self.models = {style: SpeechModel(style, path) for style in STYLES}
        self.model = SpeechModel(path=path)  # as it runs where nobody chooses a style
        self._average = average_neutral()

    def spoken(self, sound: np.ndarray, style: str | None = None) -> np.ndarray:
        """Speech weights (T, len(SPEECH_WEIGHTS)) that the stream answers to a whole sound, limits included; in the
        style that is the runtime's own where none is named."""
        frames = landmarks_of(sound, self._average, self.models[style] if style else self.model)
        return np.stack([frame.weights for frame in frames])[:, SPEECH]

    def faces(self, sound: np.ndarray, neutral: np.ndarray, expression: Expression) -> np.ndarray:
        """Landmarks (T, 68, 3) of a sound on a portrait with the landmarks `neutral`, in its unit."""
        return np.stack([frame.points for frame in landmarks_of(sound, neutral, self.model, expression=expression)])


def by_style(clips: Iterable[DraftClip]) -> dict[str, list[DraftClip]]:
    """The clips of every style that has any."""
    groups = {style: [clip for clip in clips if clip.style == style] for style in STYLES}
    return {style: group for style, group in groups.items() if group}
