"""The trained sound-to-weights network, run by OpenVINO, and the numbers that its graph is made for."""
from importlib import resources
from pathlib import Path

import numpy as np

from atl_face.errors import UserError
from atl_face.inference import FixedInference, compile_on_cpu, prefers_bf16
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

    It computes in bfloat16 where that pays (`prefers_bf16`: AMX, AMD's Zen 4 and 5): a step of one window waits for 10 MB of
    weights more than for arithmetic. The landmarks are the same to .2 % of the eye distance (tests/landmark_node/test_model.py).

    Args:
        style: articulation to imitate, of `STYLES`.
        path: ONNX file that `atl_training.landmarks.train` has written, instead of the shipped network (None or "").
        precision: f32, bf16, or auto, the better one for the processor.

    Raises:
        UserError: there is no such file, or it is no such network.
    """

    def __init__(self, style: str = "real", path: Path | str | None = None, precision: str = "auto"):
        path = Path(path or str(resources.files(__package__) / "data" / "speech_landmarks.onnx"))
        chosen = ("bf16" if prefers_bf16() else "f32") if precision == "auto" else precision
        compiled = _compile(path, chosen)
        self._run, self._state = FixedInference(compiled), compiled.inputs[1].get_shape()
        self._style = np.zeros((1, len(STYLES)), np.float32)
        self._style[0, STYLES.index(style)] = 1

    def start(self) -> np.ndarray:
        """The state before any sound."""
        return np.zeros(tuple(self._state), np.float32)

    def step(self, window: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Weights (len(SPEECH_WEIGHTS),) in [0, 1], probability of speech, next state; window (WINDOW, MELS)."""
        answer, state = self._run(window[None], state, self._style)
        return answer[0, :-1], float(answer[0, -1]), state


def _compile(path: Path, precision: str):
    """The openvino.CompiledModel of a network of `stream`; see `SpeechModel` for the errors. Its state may have another width."""
    compiled = compile_on_cpu(path, precision)
    ports = [*compiled.inputs, *compiled.outputs]
    fixed = all(port.get_partial_shape().is_static and port.get_element_type().get_type_name() == "f32" for port in ports)
    shapes = [tuple(port.get_shape()) for port in ports] if fixed else []
    state = shapes[1] if len(shapes) > 1 else ()
    if shapes != [(1, WINDOW, MELS), state, (1, len(STYLES)), (1, OUTPUTS), state] or len(state) != 2:
        raise UserError(f"{path} is not a network of `stream`, whose inputs are {WINDOW} x {MELS} log-mel features, a state and "
                        f"{len(STYLES)} styles: `atl_training.landmarks.train` writes those as speech_landmarks.onnx, with its "
                        "--lookahead 80.",
                        "bad_weights")  # fmt: skip
    return compiled
