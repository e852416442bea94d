"""What is said in a clip: by which voice, in what manner, when, and with whose real motion."""
from dataclasses import dataclass, field

import numpy as np

from atl_face.stream import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE
from atl_training.corpus.identity import Identity
from atl_training.corpus.motion import Mood, Take
from atl_training.corpus.phonemes import Segment
from atl_training.corpus.recordings import Recordings
from atl_training.corpus.replay import Motions
from atl_training.corpus.speech import Speaker, Speech
from atl_training.corpus.voices import VOICES, Manner, random_manner, sentence_for

IDLE_SHARE = 0.06  # of the clips have no speech at all: a face that only lives
FULL_SHARE = 0.8  # of a clip is filled with speech before no further sentence is added
TRIES = 12  # sentences drawn to fill it: long ones don't fit short clips
LEAD_S = (0.3, 0.6)  # silence before the first sentence
TAIL_S = 0.2  # and at least after the last
GAP_S = (0.05, 0.5)  # between sentences
LOUDNESS = (0.35, 1.0)  # of a clip, against full speech


@dataclass
class Sources:
    """Where speech and real motion come from; recordings and motions may be absent. free: only CC0 and public domain."""

    speaker: Speaker
    recordings: Recordings | None = None
    motions: Motions | None = None
    free: bool = False


@dataclass
class Script:
    """What is said in a clip of whole frames: sound (samples,) and its phonemes with pauses; manner None: nothing."""

    samples: np.ndarray
    segments: list[Segment]
    manner: Manner | None = None
    sentences: list[str] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)

    @property
    def language(self) -> str:
        return VOICES[self.manner.voice].language if self.manner else ""


def write_script(rng: np.random.Generator, sources: Sources, seconds: float, identity: Identity, mood: Mood,
                 validation: bool) -> Script:  # fmt: skip
    """Fill about four fifths of a clip with sentences in one voice."""
    samples = np.zeros(round(seconds * FRAME_RATE) * FRAME_SAMPLES, np.float32)
    script = Script(samples, [])
    if rng.random() >= IDLE_SHARE:
        script.manner = random_manner(
            rng, male=identity.is_male, age=identity.age, validation=validation, emotion=mood.emotion, level=mood.level,
            only_free=sources.free, recorded=sources.recordings.voices if sources.recordings else (),
        )  # fmt: skip
        _speak(rng, sources, script, validation)
        if not script.sentences:
            script.manner = None
        samples *= float(rng.uniform(*LOUDNESS))
    script.segments = _with_pauses(script.segments, len(samples) / SAMPLE_RATE)
    return script


def _speak(rng: np.random.Generator, sources: Sources, script: Script, validation: bool) -> None:
    """Add sentences to a script until it is full."""
    seconds = len(script.samples) / SAMPLE_RATE
    at = rng.uniform(*LEAD_S)
    for _ in range(TRIES):
        room = seconds - TAIL_S - at
        text, spoken, name = _next_sentence(rng, sources, script.manner, validation, room)
        frame = round(at * FRAME_RATE)  # sentences begin with a frame, as filmed motion does
        start = frame * FRAME_SAMPLES
        if spoken is None or start + len(spoken.samples) > (seconds - TAIL_S) * SAMPLE_RATE:
            continue
        script.samples[start : start + len(spoken.samples)] = spoken.samples
        at = frame / FRAME_RATE
        script.segments += [(a + at, b + at, name) for a, b, name in spoken.segments]
        script.sentences.append(text)
        motion = sources.motions.get(name) if sources.motions else None
        if motion:
            script.takes.append(Take(frame, motion.weights, motion.rotation, motion.translation, motion.shut))
        at += spoken.duration_s + rng.uniform(*GAP_S)
        if at > FULL_SHARE * seconds:
            break


def _next_sentence(rng: np.random.Generator, sources: Sources, manner: Manner, validation: bool,
                   longest_s: float) -> tuple[str, Speech | None, str]:  # fmt: skip
    """A sentence's text, its sound (None where nothing was found that fits), and what its real motion would be called."""
    if manner.voice.startswith("real/"):
        recording = sources.recordings.draw(rng, manner.voice, validation, longest_s)
        if recording is None:
            return "", None, ""
        return recording.text, recording.speech, f"{manner.voice.removeprefix('real/')}_{recording.stem}"
    text = sentence_for(rng, manner.voice, validation, longest_s)
    return text, sources.speaker.say(text, manner), ""


def _with_pauses(segments: list[Segment], seconds: float) -> list[Segment]:
    """The segments with `pau` wherever there is none, up to the clip's end."""
    out, at = [], 0.0
    for start, end, name in segments:
        if start > at + 1e-3:
            out.append((at, start, "pau"))
        out.append((start, end, name))
        at = end
    return [*out, (at, max(seconds, at + 0.01), "pau")]


def loudness(samples: np.ndarray) -> np.ndarray:
    """RMS per frame, smoothed over 5 frames, about 1 on average while speaking: (T,)."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    level = np.convolve(np.sqrt((frames**2).mean(1)), np.ones(5) / 5, "same")
    heard = level[level > 0.1 * max(level.max(), 1e-6)]
    return level / (heard.mean() if len(heard) else 1.0)
