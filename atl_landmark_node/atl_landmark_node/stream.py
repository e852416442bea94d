"""The landmark stage as a stream: push sound, get a landmark frame for every 40 ms of it, 80 ms of look-ahead later."""
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np

from atl_face.emotion import Expression
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import SPEECH, SPEECH_WEIGHTS, WEIGHT, eye_openness
from atl_landmark_node.delivery import articulation, is_speech, loudness
from atl_landmark_node.expression import expression_weights
from atl_landmark_node.face_model import PortraitFace, average_neutral
from atl_landmark_node.features import HOP, MELS, SILENCE, LogMel
from atl_landmark_node.life import Life
from atl_landmark_node.model import CURRENT, LOOKAHEAD, PAST, WINDOW, SpeechModel

LOOKAHEAD_SAMPLES = LOOKAHEAD * HOP
CONCEALED = 960  # samples (60 ms): gaps that are filled with sound
BLEND_FRAMES = 3  # 120 ms from where an interrupted mouth was to where the new stream has it: no jump


@dataclass(frozen=True)
class LandmarkFrame:
    """A frame of landmarks; see `FaceLandmarks.msg` for units.

    Attributes:
        index: k; the frame covers media time [40 k, 40 (k + 1)) ms of its stream.
        points: (68, 3), the portrait's unit. weights: (52,), ARKit's order.
        rotation: (pitch, yaw, roll) rad. translation: (3,) eye distances. gaze: (yaw, pitch) rad.
        eyes_open: left, right; 1 is as in the portrait.
    """

    index: int
    points: np.ndarray
    weights: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    eyes_open: tuple[float, float]
    gaze: tuple[float, float]
    speaking: bool


class LandmarkStream:
    """Sound to landmarks, one portrait and one voice at a time.

    Args:
        model: the trained network.
        seed: of the face's life (blinks, gaze, head).
    """

    def __init__(self, model: SpeechModel, seed: int = 0):
        self._model, self._life = model, Life(seed)
        self.set_portrait(average_neutral())
        self.expression = Expression()
        self._expressed = np.zeros(52)
        self._spoken = np.zeros(len(SPEECH_WEIGHTS))
        self.restart()

    def set_portrait(self, neutral: np.ndarray) -> None:
        """Put the motion onto a portrait with landmarks (68, 3) in crop coordinates; until then, onto an average face."""
        self._face = PortraitFace(neutral)
        self._open = tuple(float(v) for v in eye_openness(neutral))

    def restart(self, first_frame: int = 0) -> None:
        """A new stream of sound begins (next utterance, or an interrupt): old sound is forgotten, the face goes on.

        Args:
            first_frame: index of the frame that the next sample begins.
        """
        self._mel = LogMel()
        self._heard = np.zeros(CONCEALED, np.float32)
        self._features = np.full((PAST, MELS), SILENCE, np.float32)
        self._state = self._model.start()
        self._index = first_frame
        self._from, self._blend = self._spoken, BLEND_FRAMES

    def skip(self, samples: int) -> Iterator[LandmarkFrame]:
        """Bridge a gap in the sound, so that media time stays right.

        A chunk or two are filled with the last sound backwards and fading, as telephones conceal lost packets (ITU-T G.711,
        Appendix I, repeats a pitch period): a hole in a vowel would be heard as a closure. A longer gap is silence, and what
        the network remembered before it comes back after it: it was not the speaker who fell silent.
        """
        if samples <= CONCEALED:
            yield from self.push((self._heard[::-1] * np.linspace(1, 0, CONCEALED, dtype=np.float32))[:samples])
            return
        waiting, remembered = LOOKAHEAD // CURRENT, None  # frames of sound that only wait for what comes after them
        for count, frame in enumerate(self.push(np.zeros(samples, np.float32)), 1):
            if count == waiting:
                remembered = self._state
            yield frame
        if remembered is not None:
            self._state = remembered

    def push(self, samples: np.ndarray) -> Iterator[LandmarkFrame]:
        """Frames that these samples (n,) float32, 16 kHz, complete."""
        self._heard = np.concatenate([self._heard, samples])[-CONCEALED:]
        self._features = np.concatenate([self._features, self._mel.push(samples)])
        while len(self._features) >= WINDOW:
            window, self._features = self._features[:WINDOW], self._features[CURRENT:]
            yield self._frame(window)

    def finish(self, total_samples: int) -> Iterator[LandmarkFrame]:
        """The frames that still wait for look-ahead when a stream of `total_samples` has ended: silence follows.

        The silence is only lent: sound that comes after all has its frames where they belong, not early.
        """
        missing = -(-total_samples // FRAME_SAMPLES) - self._index
        padding = np.zeros(LOOKAHEAD_SAMPLES + 2 * FRAME_SAMPLES, np.float32)
        features = np.concatenate([self._features, copy(self._mel).push(padding)])
        for _ in range(min(missing, (len(features) - PAST - LOOKAHEAD) // CURRENT)):
            window, features = features[:WINDOW], features[CURRENT:]
            self._features = self._features[CURRENT:]
            yield self._frame(window)

    def _frame(self, window: np.ndarray) -> LandmarkFrame:
        spoken, probability, self._state = self._model.step(window, self._state)
        spoken = spoken * articulation(self.expression.style)
        if self._blend:
            share = self._blend / (BLEND_FRAMES + 1)
            spoken, self._blend = share * self._from + (1 - share) * spoken, self._blend - 1
        self._spoken = spoken
        speaking = is_speech(probability)
        life = self._life.step(speaking, loudness(window[PAST:PAST + CURRENT]) * probability, self.expression)
        # expressions come and go over a few hundred ms, as faces do
        self._expressed = self._expressed + 0.12 * (expression_weights(self.expression) - self._expressed)
        weights = life.weights + self._expressed
        weights[SPEECH] += spoken
        weights = np.clip(weights, 0, 1)
        weights[WEIGHT["mouthClose"]] = min(weights[WEIGHT["mouthClose"]], weights[WEIGHT["jawOpen"]])
        points = self._face.points(weights, life.rotation, life.translation)
        opens = tuple(float(now / rest) for now, rest in zip(eye_openness(points), self._open, strict=True))
        frame = LandmarkFrame(self._index, points, weights, life.rotation, life.translation, opens, life.gaze,
                              speaking)  # fmt: skip
        self._index += 1
        return frame


def landmarks_of(sound: np.ndarray, neutral: np.ndarray, model: SpeechModel, seed: int = 0,
                 expression: Expression | None = None) -> list[LandmarkFrame]:  # fmt: skip
    """Landmark frames of a whole sound (n,) float32 at 16 kHz: what replay, training and `atl render` call."""
    stream = LandmarkStream(model, seed)
    stream.expression = expression or Expression()
    stream.set_portrait(neutral)
    frames = list(stream.push(sound))
    return frames[: -(-len(sound) // FRAME_SAMPLES)] + list(stream.finish(len(sound)))
