"""The ways in which a filmed or drawn clip is made anew: from its true landmarks or from its sound, by us or by less than us."""
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atl_diffusion_node.portrait import Portrait, fit_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.baselines import WarpOnly
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import SPEECH
from atl_landmark_node.face_model import PortraitFace
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.landmarks.fit import level_to
from atl_training.shards import Sample

TRUTH, STILL = "ground truth", "still portrait"
FROM_TRUE, FROM_SOUND_POSED, FROM_SOUND = "true landmarks", "sound, true head pose", "sound alone"
HELD = "warp only from true head pose, still mouth"


@dataclass
class Clip:
    """A clip with its truth.

    Attributes:
        frames: (T, H, W, 3) uint8. landmarks: (T, 68, 3) px. sound: 16 kHz float32, as long.
    """

    key: str
    frames: np.ndarray
    landmarks: np.ndarray
    sound: np.ndarray

    @classmethod
    def of(cls, sample: Sample) -> "Clip":
        frames, landmarks = sample.frames(), sample.arrays["landmarks"].astype(np.float64)
        count = min(len(frames), len(landmarks), len(sample.audio) // FRAME_SAMPLES)
        sound = sample.audio[: count * FRAME_SAMPLES]
        return cls(sample.key, np.stack(frames[:count]), landmarks[:count], sound)

    @property
    def after_first(self) -> "Clip":
        """What is judged: the clip without its first frame, which is the portrait: every way would have it for nothing."""
        return Clip(self.key, self.frames[1:], self.landmarks[1:], self.sound[FRAME_SAMPLES:])

    @cached_property
    def portrait(self) -> Portrait:
        """The first frame, at its own size."""
        return fit_portrait(self.key, self.frames[0], self.landmarks[0], self.frames.shape[1:3])

    @cached_property
    def true_points(self) -> np.ndarray:
        """The true landmarks in the portrait's crop coordinates, (T, 68, 3)."""
        return self.portrait.transform.to_crop(self.landmarks)

    def points(self, model: SpeechModel) -> dict[str, np.ndarray]:
        """Landmarks (T, 68, 3) in crop coordinates, by what drives them. Sound with the true head pose moves mouth and jaw
        alone, then the whole face as the true one is held (by the points that speech leaves alone)."""
        heard = landmarks_of(self.sound, self.portrait.neutral, model)[: len(self.frames)]
        face, spoken = PortraitFace(self.portrait.neutral), np.zeros((len(heard), 52))
        spoken[:, SPEECH] = np.stack([frame.weights for frame in heard])[:, SPEECH]
        posed = [level_to(true, face.points(weights)) for weights, true in zip(spoken, self.true_points, strict=True)]
        return {FROM_TRUE: self.true_points, FROM_SOUND_POSED: np.stack(posed),
                FROM_SOUND: np.stack([frame.points for frame in heard])}  # fmt: skip


def draw(renderer: FaceRenderer, portrait: Portrait, points: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) of landmarks (T, 68, 3) in crop coordinates."""
    renderer.set_identity(portrait)
    return np.stack([renderer.render(p) for p in points])


def made_in_all_ways(clip: Clip, model: SpeechModel, ours: FaceRenderer) -> Iterator[tuple[str, np.ndarray]]:
    """Names and frames (T, H, W, 3): ground truth and still portrait, then warp only and ours for each that drives."""
    warp_only = FaceRenderer(WarpOnly())
    yield TRUTH, clip.frames
    yield STILL, np.repeat(clip.portrait.picture[None], len(clip.frames), axis=0)
    for driver, points in clip.points(model).items():
        for name, renderer in (("warp only", warp_only), ("ours", ours)):
            yield f"{name} from {driver}", draw(renderer, clip.portrait, points)
    # a still mouth that turns with the head: what any sound-driven mouth has to beat where the true pose is given
    held = np.stack([level_to(true, clip.portrait.neutral) for true in clip.true_points])
    yield HELD, draw(warp_only, clip.portrait, held)
