"""What `kflm` may hear: encoders from sound to features, 25 times a second, all with one signature.

An encoder takes sound (n,) float32 at 16 kHz and gives features (T, width) float32, T = ceil(n / 640): row k is about the 40 ms
of landmark frame k. Encoders of other rates are interpolated to the frames' middles, in `to_frames` and nowhere else.

The runtime hears log-mel alone: a network of another encoder can be trained and judged, but not shipped.

    python -m atl_training.landmarks.encoders [--encoder NAME] [--encoder-weights DIR]   # what hearing costs
"""
import argparse
import hashlib
import importlib.util
import json
import time
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path

import numpy as np

from atl_evaluation.provenance import sha256_of
from atl_face.errors import UserError
from atl_face.stream import FRAME_SAMPLES
from atl_landmark_node.features import MELS, log_mel
from atl_landmark_node.model import CURRENT, LOOKAHEAD
from atl_training.augment import other_throat
from atl_training.tool import run_tool

EXCERPT = 75  # frames that training cuts out, 3 s: GRID's clip length
BLOCK = EXCERPT + LOOKAHEAD // CURRENT  # frames of an excerpt with what is heard after it
ID_DIGITS = 12  # hex digits of its weights' SHA-256 that tell an encoder from others


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


class Encoder(ABC):
    """Attributes:
    name: of `ENCODERS`. width: features of a frame. weights: ID_DIGITS of its weights' SHA-256, "" without any.
    """

    name: str
    width: int
    weights = ""

    @abstractmethod
    def __call__(self, sound: np.ndarray) -> np.ndarray:
        """(n,) float32, 16 kHz -> (T, width) float32, see above."""

    def to(self, device) -> "Encoder":
        """This encoder, on a device of torch's where torch computes it; others stay on the CPU."""
        return self

    def once(self, sound: np.ndarray) -> np.ndarray:
        """As `__call__`; what is costly is kept in memory, for held-out clips: they are heard at every look."""
        return self(sound)

    def disturbed(self, rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
        """As `__call__`, for training: with what can be done to the features, beside what was done to the sound."""
        return self(sound)


class LogMel(Encoder):
    """The four log-mel frames of a landmark frame side by side: no weights, and what the runtime can make."""

    name, width = "logmel", CURRENT * MELS

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        frames = frames_of(sound)
        padded = np.pad(sound, (0, frames * FRAME_SAMPLES - len(sound)))
        return log_mel(padded).reshape(frames, self.width)

    def disturbed(self, rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
        return other_throat(rng, self(sound).reshape(-1, MELS)).reshape(-1, self.width)


class _Pretrained(Encoder):
    """An encoder with learnt weights, which attends to all that it is given.

    In a longer sound the same moment has other features (Moonshine's in 15 s and in 3 s of it differ by half of their size), so
    that long sounds are heard in overlapping blocks of the length that training hears, faded into each other.

    Attributes:
        hop, window: samples from one output to the next, and what one hears.
    """

    hop: int
    window: int

    def __init__(self):
        self._kept: dict[bytes, np.ndarray] = {}

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        frames = frames_of(sound)
        if frames <= BLOCK:
            return self._block(sound)
        starts = np.linspace(0, frames - BLOCK, 1 + -(-(frames - BLOCK) // (BLOCK // 2))).astype(int)
        fade = np.minimum(np.arange(1, BLOCK + 1), np.arange(BLOCK, 0, -1))[:, None].astype(np.float32)
        total, weight = np.zeros((frames, self.width), np.float32), np.zeros((frames, 1), np.float32)
        for start in starts:
            total[start:start + BLOCK] += fade * self._block(sound[start * FRAME_SAMPLES:(start + BLOCK) * FRAME_SAMPLES])
            weight[start:start + BLOCK] += fade
        return total / weight

    def once(self, sound: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(sound.tobytes()).digest()
        if key not in self._kept:
            self._kept[key] = self(sound)
        return self._kept[key]

    def _block(self, sound: np.ndarray) -> np.ndarray:
        heard = np.pad(sound, (0, max(0, self.window - len(sound)))).astype(np.float32)
        return to_frames(self._encode(heard), self.hop, self.window, frames_of(sound))

    @abstractmethod
    def _encode(self, sound: np.ndarray) -> np.ndarray:
        """(n,) float32, n >= window -> (m, width) float32."""


class Moonshine(_Pretrained):
    """The encoder of Moonshine tiny (Jeffries et al. 2024), 288 features at 41.7 Hz, from the package moonshine-voice.

    Raises:
        UserError: moonshine-voice or onnxruntime is missing.
    """

    name, width = "moonshine", 288
    # three convolutions, kernels 127, 7, 3 and strides 64, 3, 2
    hop, window = 64 * 3 * 2, 127 + 6 * 64 + 2 * 64 * 3

    def __init__(self):
        super().__init__()
        found = importlib.util.find_spec("moonshine_voice")
        path = Path(found.origin).parent / "assets" / "tiny-en" / "encoder_model.ort" if found else None
        if not path or not path.is_file() or importlib.util.find_spec("onnxruntime") is None:
            raise UserError("The encoder moonshine needs two packages: run `pip install --no-deps moonshine-voice==0.0.73` and "
                            "`pip install onnxruntime`.", "no_encoder")  # fmt: skip
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.weights = sha256_of(path)[:ID_DIGITS]

    def _encode(self, sound: np.ndarray) -> np.ndarray:
        feed = {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)}
        return self._session.run(["last_hidden_state"], feed)[0][0]


class Wav2Vec2(_Pretrained):
    """The paper's encoder, wav2vec2 (Baevski et al. 2020), from a folder with its weights: 768 features (base) at 50 Hz.

    Args:
        folder: as `save_pretrained` of transformers writes it: config.json and model.safetensors.

    Raises:
        UserError: transformers is missing, or the folder holds no wav2vec2.
    """

    name = "wav2vec2"

    def __init__(self, folder: Path):
        super().__init__()
        if importlib.util.find_spec("transformers") is None:
            raise UserError("The encoder wav2vec2 needs the package transformers: run `pip install transformers`.", "no_encoder")
        path = folder / "model.safetensors"
        if not path.is_file() or _model_type(folder / "config.json") != self.name:
            raise UserError(f"{folder} holds no wav2vec2: name a folder with its config.json and model.safetensors.",
                            "no_encoder")  # fmt: skip
        import torch
        from transformers import Wav2Vec2Model

        self._torch = torch
        try:
            model, report = Wav2Vec2Model.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        except Exception as error:  # of many kinds: what a file can have wrong is transformers' to find
            raise UserError(f"The weights of wav2vec2 in {folder} can't be read: {str(error).splitlines()[0]}",
                            "no_encoder") from error  # fmt: skip
        if lacks := sorted(set(report["missing_keys"]) - {"masked_spec_embed"}):  # which only its own training uses
            raise UserError(f"{path} lacks weights of wav2vec2, {lacks[0]} for one: it is another network's.", "no_encoder")
        self._model, self.width = model.eval(), model.config.hidden_size
        self.weights = sha256_of(path)[:ID_DIGITS]
        self.hop = self.window = 1
        for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
            self.window += (kernel - 1) * self.hop
            self.hop *= stride

    def to(self, device) -> "Wav2Vec2":
        self._model.to(device)
        return self

    def _encode(self, sound: np.ndarray) -> np.ndarray:
        level = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)  # as its feature extractor does
        with self._torch.inference_mode():
            heard = self._torch.from_numpy(level)[None].to(self._model.device)
            return self._model(heard).last_hidden_state[0].cpu().numpy()


def _model_type(config: Path) -> str | None:
    """What a config.json of transformers says that it is of; None: nothing."""
    try:
        return json.loads(config.read_text()).get("model_type")
    except (OSError, ValueError):
        return None


ENCODERS = "logmel", "moonshine", "wav2vec2"


@lru_cache
def load_encoder(name: str, folder: Path | None = None) -> Encoder:
    """An encoder of `ENCODERS`; wav2vec2 needs the folder of its weights.

    Raises:
        UserError: what it needs is missing, or there is no such encoder.
    """
    if name == "logmel":
        return LogMel()
    if name == "moonshine":
        return Moonshine()
    if name == "wav2vec2":
        if folder is None:
            raise UserError("The encoder wav2vec2 needs weights, which can't be shipped: name their folder with "
                            "--encoder-weights.", "no_encoder")  # fmt: skip
        return Wav2Vec2(folder)
    raise UserError(f"There is no encoder {name!r}; choose one of {', '.join(ENCODERS)}.", "no_encoder")


def cost_ms(encoder: Encoder, takes: int = 5) -> float:
    """CPU time (ms) of hearing one of training's excerpts, without waiting for other work of the machine."""
    sound = np.random.default_rng(0).normal(0, 0.1, BLOCK * FRAME_SAMPLES).astype(np.float32)
    encoder(sound)  # the first time is slower
    begin = time.process_time()
    for _ in range(takes):
        encoder(sound)
    return 1000 * (time.process_time() - begin) / takes


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of hearing an excerpt of training's.")
    parser.add_argument("--encoder", choices=ENCODERS, default=ENCODERS[0])
    parser.add_argument("--encoder-weights", type=Path, metavar="DIR", help="of wav2vec2")
    chosen = parser.parse_args()
    encoder = load_encoder(chosen.encoder, chosen.encoder_weights)
    print(f"{encoder.name}: {encoder.width} features, {cost_ms(encoder):.1f} ms per excerpt of {BLOCK} frames")


if __name__ == "__main__":
    run_tool(main)
