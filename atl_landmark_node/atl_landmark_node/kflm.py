"""The paper's landmark network at run time: it hears the whole utterance first, so it is for offline use (`atl render`)."""
from importlib import resources
from pathlib import Path

import numpy as np

from atl_face.emotion import LABELS, Expression
from atl_face.errors import UserError
from atl_face.inference import compile_on_cpu
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import ARKIT_52, EYE_LEFT, EYE_RIGHT, WEIGHT, eye_openness
from atl_landmark_node.delivery import articulation, is_speech, loudness
from atl_landmark_node.face_model import RIGID, PortraitFace, load_basis, rigid_fit, rotation_matrix
from atl_landmark_node.features import MELS, log_mel
from atl_landmark_node.life import Life
from atl_landmark_node.model import CURRENT, STYLES
from atl_landmark_node.stream import LandmarkFrame

INPUTS = CURRENT * MELS + len(STYLES)  # the log-mel frames of a landmark frame, and whose articulation
SILENT_FRAMES = 50  # of silence whose middle shows what a face does that says nothing: attention reaches 25 to either side
_LIDS = np.r_[EYE_RIGHT, EYE_LEFT]
_EYES = np.array([name.startswith("eye") for name in ARKIT_52])  # of life's weights; brows are the network's


def default_path() -> Path:
    """The shipped network."""
    return Path(str(resources.files(__package__) / "data" / "kflm.onnx"))


class KflmModel:
    """The network on OpenVINO, one thread.

    Args:
        style: articulation to imitate, of `STYLES`.
        path: ONNX file that `atl_training.landmarks.train --model kflm` has written.

    Raises:
        UserError: there is no such file, it is no such network, or its features are none that can be made here (see
            `landmarks/encoders.py`).
    """

    def __init__(self, style: str = "real", path: Path | None = None):
        path = path or default_path()
        if not path.is_file():
            raise UserError(f"There is no landmark network {path}; train it with `python -m atl_training.landmarks.train "
                            "--model kflm` and put its kflm.onnx there, or choose stream.", "no_weights")  # fmt: skip
        compiled = compile_on_cpu(path)
        if "features" not in (port.any_name for port in compiled.inputs):
            raise UserError(f"{path} is not a network of `kflm`: `atl_training.landmarks.train --model kflm` writes those as "
                            "kflm.onnx.", "bad_weights")  # fmt: skip
        inputs = compiled.input("features").partial_shape[2].get_length()
        if inputs != INPUTS:
            raise UserError(f"{path} hears {inputs} features a frame, not the {INPUTS} of log-mel; only a network "
                            "trained on log-mel can be run here.", "bad_weights")  # fmt: skip
        self._request = compiled.create_infer_request()
        self._style = np.eye(len(STYLES), dtype=np.float32)[STYLES.index(style)]

    def infer(self, mel: np.ndarray, neutral: np.ndarray, expression: Expression) -> tuple[np.ndarray, np.ndarray]:
        """A whole utterance on one face.

        Args:
            mel: (T, CURRENT, MELS) log-mel features, T >= 1.
            neutral: (68, 3) closed-lipped landmarks in the average pose, eye distances.
            expression: its label and strength.

        Returns:
            how far each point moves from the neutral one (T, 68, 3), eye distances; probability of speech (T,).
        """
        features = np.concatenate([mel.reshape(len(mel), -1), np.tile(self._style, (len(mel), 1))], axis=1)
        emotion = expression.strength * np.eye(len(LABELS))[LABELS.index(expression.label)]
        result = self._request.infer([np.float32(x)[None] for x in (features, neutral, emotion)])
        return np.array(result[0])[0] - np.float32(neutral), np.array(result[1])[0]


def kflm_landmarks_of(sound: np.ndarray, neutral: np.ndarray, model: KflmModel, seed: int = 0,
                      expression: Expression | None = None) -> list[LandmarkFrame]:  # fmt: skip
    """As `stream.landmarks_of`, by the paper's network: landmark frames of a whole sound (n,) float32 at 16 kHz.

    Head, blinks and gaze are `life`'s, all else is the network's. It answers with points, so that the frames' weights are the
    eyes' alone. What it answers to silence is the expression, which stays; what sound adds to that is speech: it is
    scaled by the style as `stream`'s is.
    """
    frames = -(-len(sound) // FRAME_SAMPLES)
    if not frames:
        return []
    expression, face, life = expression or Expression(), PortraitFace(neutral), Life(seed)
    mel = log_mel(np.pad(sound, (0, frames * FRAME_SAMPLES - len(sound)))).reshape(frames, CURRENT, MELS)
    pose = rigid_fit(load_basis()[1][RIGID], neutral[RIGID] / face.scale)
    level = face.points(np.zeros(len(ARKIT_52))) / face.scale @ pose
    moved, probability = model.infer(mel, level, expression)
    silence = log_mel(np.zeros(SILENT_FRAMES * FRAME_SAMPLES, np.float32)).reshape(SILENT_FRAMES, CURRENT, MELS)
    rest = model.infer(silence, level, expression)[0][SILENT_FRAMES // 2]
    moved = rest + articulation(expression.style) * (moved - rest)
    moved = moved @ pose.T * face.scale
    opens = eye_openness(neutral)
    speaking = [is_speech(p) for p in probability]
    return [_frame(k, face, moved[k], opens, speaking[k],
                   life.step(speaking[k], loudness(mel[k]) * probability[k], expression)) for k in range(frames)]  # fmt: skip


def _frame(index, face, moved, opens, speaking, life) -> LandmarkFrame:
    """One frame: `moved` (68, 3) in the portrait's unit and pose, put onto the face while life moves it."""
    weights = np.where(_EYES, life.weights, 0)
    moved[_LIDS] *= 1 - weights[WEIGHT["eyeBlinkLeft"]]  # lids that shut forget how they were held: they would cross
    points = face.points(weights, life.rotation, life.translation) + moved @ rotation_matrix(*life.rotation).T
    eyes = tuple(float(now / rest) for now, rest in zip(eye_openness(points), opens, strict=True))
    return LandmarkFrame(index, points, weights, life.rotation, life.translation, eyes, life.gaze, speaking)
