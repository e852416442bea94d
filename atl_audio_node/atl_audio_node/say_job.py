"""One request to say something, from its text or samples to its last sample; polled, never waited for."""

from concurrent.futures import Executor, Future

import numpy as np
from soxr import resample

from atl_audio_node.chunker import rate_problem, to_mono
from atl_audio_node.sound_stream import SoundStream, Utterance
from atl_audio_node.speech import synthesise
from atl_face.emotion import Expression, asked_of
from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE


def prepare(text: str, samples: np.ndarray, rate_hz: int, voice: str, words_per_minute: int, worn=None) -> np.ndarray:
    """The sound of a request: its int16 samples (n,) at `rate_hz` where it has some, its text spoken
    otherwise.

    Args:
        worn: the expression that is asked for with it, by the fields of an Expression.msg; only looked at.

    Raises:
        UserError: nothing to say, no rate that sound has, no voice, no such expression.
    """
    if worn is not None and worn.label:
        asked_of(worn, Expression())
    if samples.size == 0:
        return synthesise(text, voice, words_per_minute)
    if problem := rate_problem("The samples to say have", rate_hz):
        raise UserError(problem, "bad_rate")
    mono = to_mono(samples)
    sound = mono if rate_hz == SAMPLE_RATE else resample(mono, rate_hz, SAMPLE_RATE)
    if sound.size == 0:  # a few samples of a high rate are less than one of ours
        raise UserError("The samples to say are too short to be heard: give more of them.", "too_short")
    return sound


class SayJob:
    """Prepared in a worker thread (speech synthesis takes its time), then queued in the stream.

    Args:
        stream: what says it.
        worker: runs `prepare`.
        request: arguments of `prepare`.
    """

    def __init__(self, stream: SoundStream, worker: Executor, *request):
        self._stream = stream
        self._sound: Future = worker.submit(prepare, *request)
        self._utterance: Utterance | None = None
        self._cancelled, self._begun = False, False
        self.message = ""

    def poll(self) -> bool:
        """Move on where possible; True when there is nothing left to do. Call it a few times per second."""
        if self._utterance is None and self._sound.done() and not self._cancelled:
            if isinstance(error := self._sound.exception(), UserError):
                self._cancelled, self.message = True, str(error)
            elif error is not None:  # a bug costs this request, not the node
                self._cancelled, self.message = True, f"This can't be said, for a bug ({error!r}): please report it."
            else:
                self._utterance = self._stream.say(self._sound.result())
        if self._utterance is not None and self._utterance.state == "cancelled":
            self._cancelled, self.message = True, self.message or "Interrupted."
        if self.ok:
            self.message = "Said."
        return self._cancelled or self.ok

    def cancel(self, message: str) -> None:
        """Say no more of it."""
        self._cancelled, self.message = True, message
        if self._utterance is not None:
            self._stream.cancel(self._utterance)

    @property
    def ok(self) -> bool:
        """True when all of it was said."""
        return self._utterance is not None and self._utterance.state == "said"

    def begins(self) -> bool:
        """True once: at the first call after its first sample was said."""
        begins = not self._begun and self._utterance is not None and self._utterance.position > 0
        self._begun = self._begun or begins
        return begins

    @property
    def elapsed_s(self) -> float:
        """How much was said."""
        return self._utterance.position / SAMPLE_RATE if self._utterance is not None else 0.0

    @property
    def progress(self) -> float:
        """Share that was said, 0 to 1."""
        return self._utterance.position / self._utterance.samples.size if self._utterance is not None else 0.0
