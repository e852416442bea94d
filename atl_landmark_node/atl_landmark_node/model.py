"""The trained sound-to-weights network, run by OpenVINO, and the numbers that its graph is made for."""
from importlib import resources
from pathlib import Path

import numpy as np

from atl_face.inference import compile_on_cpu
from atl_face.topology import SPEECH_WEIGHTS
from atl_landmark_node.features import MELS

PAST = 8  # feature frames (10 ms each) before a landmark frame that its window reaches back to; the GRUs remember more
CURRENT = 4  # feature frames of the landmark frame itself: 40 ms
LOOKAHEAD = 8  # feature frames after it: 80 ms; lips move before their sound is heard
WINDOW = PAST + CURRENT + LOOKAHEAD
STATE, LAYERS = 384, 2  # width of a GRU, and how many remember
OUTPUTS = len(SPEECH_WEIGHTS) + 1  # weights, and whether there is speech
STYLES = ("rules", "real")  # whose articulation: the corpus's rules, or a real speaker's (GRID s1)


class SpeechModel:
    """One step of the network: a window of features and the state in, weights and the next state out.

    Args:
        style: articulation to imitate, of `STYLES`.
    """

    def __init__(self, style: str = "real", path: Path | None = None):
        path = path or Path(str(resources.files(__package__) / "data" / "speech_landmarks.onnx"))
        self._request = compile_on_cpu(path).create_infer_request()
        self._style = np.zeros((1, len(STYLES)), np.float32)
        self._style[0, STYLES.index(style)] = 1

    def start(self) -> np.ndarray:
        """The state before any sound."""
        return np.zeros((1, LAYERS * STATE), np.float32)

    def step(self, window: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Weights (len(SPEECH_WEIGHTS),) in [0, 1], probability of speech, next state; window (WINDOW, MELS)."""
        result = self._request.infer([np.ascontiguousarray(window.reshape(1, WINDOW, MELS)), state, self._style])
        answer = np.array(result[0])[0]
        return answer[:-1], float(answer[-1]), np.array(result[1])
