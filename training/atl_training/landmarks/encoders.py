"""What `kflm` may hear: encoders from sound to features, 25 times a second, all with one signature.

An encoder takes sound (n,) float32 at 16 kHz and gives features (T, D) float32, T = ceil(n / 640): row k is about the 40 ms of
landmark frame k. Encoders of other rates are interpolated to the frames' middles.

They are not wired into training yet: `landmarks.train` and the runtime hear log-mel alone.
"""
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atl_face.errors import UserError
from atl_face.stream import FRAME_SAMPLES
from atl_landmark_node import features
from atl_landmark_node.model import CURRENT

Encoder = Callable[[np.ndarray], np.ndarray]


def frames_of(sound: np.ndarray) -> int:
    """Landmark frames that a sound (n,) lasts."""
    return -(-len(sound) // FRAME_SAMPLES)


def to_frames(values: np.ndarray, hop: int, window: int, frames: int) -> np.ndarray:
    """Interpolate linearly to the middles of `frames` landmark frames.

    Args:
        values: (m, D), m >= 1; row i hears the samples [hop * i, hop * i + window).
    """
    middles = FRAME_SAMPLES * (np.arange(frames) + 0.5)
    at = np.clip((middles - window / 2) / hop, 0, len(values) - 1)
    before = np.minimum(at.astype(int), max(0, len(values) - 2))
    share = (at - before)[:, None].astype(np.float32)
    return values[before] * (1 - share) + values[np.minimum(before + 1, len(values) - 1)] * share


def log_mel(sound: np.ndarray) -> np.ndarray:
    """The four log-mel frames of a landmark frame side by side, (T, 256): no weights, and what the runtime can make."""
    frames = frames_of(sound)
    padded = np.pad(sound, (0, frames * FRAME_SAMPLES - len(sound)))
    return features.log_mel(padded).reshape(frames, CURRENT * features.MELS)


class Moonshine:
    """The encoder of Moonshine tiny (Jeffries et al. 2024), 288 features at 41.7 Hz, from the package moonshine-voice.

    It attends to the whole sound and is made for utterances of up to 30 s.

    Raises:
        UserError: moonshine-voice or onnxruntime is missing.
    """

    # three convolutions, kernels 127, 7, 3 and strides 64, 3, 2: what one output hears, and how far the next lies
    HOP, WINDOW = 64 * 3 * 2, 127 + 6 * 64 + 2 * 64 * 3

    def __init__(self):
        found = importlib.util.find_spec("moonshine_voice")
        if found is None or importlib.util.find_spec("onnxruntime") is None:
            raise UserError("The encoder moonshine needs two packages: run `pip install moonshine-voice==0.0.73 onnxruntime`.",
                            "no_encoder")  # fmt: skip
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(found.origin).parent / "assets" / "tiny-en" / "encoder_model.ort"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        heard = np.pad(sound, (0, max(0, self.WINDOW - len(sound))))[None].astype(np.float32)
        feed = {"input_values": heard, "attention_mask": np.ones(heard.shape, np.int64)}
        values = self._session.run(["last_hidden_state"], feed)[0][0]
        return to_frames(values, self.HOP, self.WINDOW, frames_of(sound))


class Wav2Vec2:
    """The paper's encoder, wav2vec2 (Baevski et al. 2020), from a folder with its weights: 768 features (base) at 50 Hz.

    Args:
        folder: as `save_pretrained` of transformers writes it: config.json and model.safetensors.

    Raises:
        UserError: transformers is missing, or the folder holds no wav2vec2.
    """

    HOP, WINDOW = 320, 400

    def __init__(self, folder: Path):
        if importlib.util.find_spec("transformers") is None:
            raise UserError("The encoder wav2vec2 needs the package transformers: run `pip install transformers`.", "no_encoder")
        config = folder / "config.json"
        if not config.is_file() or json.loads(config.read_text()).get("model_type") != "wav2vec2":
            raise UserError(f"{folder} holds no wav2vec2: name a folder with its config.json and model.safetensors.",
                            "no_encoder")  # fmt: skip
        import torch
        from transformers import Wav2Vec2Model

        self._torch = torch
        try:
            self._model = Wav2Vec2Model.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError) as error:
            raise UserError(f"The weights of wav2vec2 in {folder} can't be read: {str(error).splitlines()[0]}",
                            "no_encoder") from error  # fmt: skip

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        heard = np.pad(sound, (0, max(0, self.WINDOW - len(sound)))).astype(np.float32)
        heard = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7)  # as its feature extractor does
        with self._torch.inference_mode():
            values = self._model(self._torch.from_numpy(heard)[None]).last_hidden_state[0].numpy()
        return to_frames(values, self.HOP, self.WINDOW, frames_of(sound))


ENCODERS = "log_mel", "moonshine", "wav2vec2"


def load_encoder(name: str, folder: Path | None = None) -> Encoder:
    """An encoder of `ENCODERS`; wav2vec2 needs the folder of its weights.

    Raises:
        UserError: what it needs is missing, or there is no such encoder.
    """
    if name == "log_mel":
        return log_mel
    if name == "moonshine":
        return Moonshine()
    if name == "wav2vec2":
        if folder is None:
            raise UserError("The encoder wav2vec2 needs the folder of its weights, which can't be shipped.", "no_encoder")
        return Wav2Vec2(folder)
    raise UserError(f"There is no encoder {name!r}; choose one of {', '.join(ENCODERS)}.", "no_encoder")
