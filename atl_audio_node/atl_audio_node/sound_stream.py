"""Decides which sample is due when: what is to be said, over the source, over silence, as one paced stream of
chunks."""

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from atl_audio_node.sources import Source
from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE

CHUNK_NS = CHUNK_SAMPLES * 1_000_000_000 // SAMPLE_RATE  # 20 ms
# chunks handed out at one call after a stall: catches up at several times real time, without a flood
BURST = 5
LIVE_BACKLOG_NS = 200_000_000  # a microphone that is later than this jumps to now: a conversation can't wait
# after a longer one (a suspended laptop, a jump of the clock) a new stream begins at now
MAX_STALL_NS = 2_000_000_000
SILENCE = np.zeros(CHUNK_SAMPLES, np.float32)
SILENCE.setflags(write=False)


@dataclass(frozen=True)
class Chunk:
    """20 ms of the stream: samples (320,) float32 from `first_sample` on, to be heard from `media_time_ns`
    on."""

    stream_id: int
    first_sample: int
    media_time_ns: int
    samples: np.ndarray


@dataclass(frozen=True)
class StreamEnd:
    """A source has said everything: its stream holds `samples` samples and ends at `media_time_ns`."""

    stream_id: int
    samples: int
    media_time_ns: int


@dataclass(eq=False)
class Utterance:
    """Something that `say` was asked for; `state` goes queued -> speaking -> said, or ends as cancelled."""

    samples: np.ndarray  # (n,) float32, 16 kHz
    state: str = "queued"
    position: int = field(default=0)  # samples handed out

    def take(self) -> np.ndarray:
        """The next 20 ms, the last ones padded with silence."""
        chunk = self.samples[self.position : self.position + CHUNK_SAMPLES]
        self.position = min(self.position + CHUNK_SAMPLES, self.samples.size)
        self.state = "said" if self.position >= self.samples.size else "speaking"
        return np.pad(chunk, (0, CHUNK_SAMPLES - chunk.size))


class SoundStream:
    """The graph's one sound: chunk n of a stream is due at the stream's start + n * 20 ms, so its clock can't
    drift.

    A new stream (id + 1, counting from 0) begins where another source begins to speak and after an interrupt.
    An utterance is followed by `pause_s` of silence in its own stream, so that whoever drops the old stream's
    queued sound when a new one begins (the playout does) drops silence. After a stall a file catches up
    whole, in bursts; a live source's backlog is given up, and `first_sample` jumps by what is missing. Every
    method may be called from any thread.

    Args:
        source: what speaks when nothing is to be said.
        first_stream_id: must differ from what an earlier life of the node used.
        pause_s: keep it at least as long as the display's playout delay.
    """

    def __init__(self, source: Source, first_stream_id: int = 1, pause_s: float = 0.4):
        self.source = source
        self.gap_chunks = 0  # 20 ms pieces of media time that were given up after stalls
        # a held stream gives nothing, not even silence: nobody is there yet to hear its beginning
        self.held = False
        self._stream_id, self._start_ns, self._count = first_stream_id, None, 0
        self._pause_chunks = round(pause_s * 1e9 / CHUNK_NS)
        self._pause_left = 0
        self._queue: deque[Utterance] = deque()
        self._utterance: Utterance | None = None
        self._speaker = source if source.live else None
        self._end: StreamEnd | None = None
        self._end_told = False
        self._lock = threading.RLock()

    @property
    def stream_id(self) -> int:
        return self._stream_id

    @property
    def speaking(self) -> bool:
        """True while an utterance is being said or waits."""
        return self._utterance is not None or bool(self._queue)

    @property
    def next_due_ns(self) -> int | None:
        """When the next chunk is due; None before the first `pull`."""
        return None if self._start_ns is None else self._start_ns + self._count * CHUNK_NS

    def say(self, samples: np.ndarray) -> Utterance:
        """Queue mono sound (n,) float32 at 16 kHz; it is said after what waits already."""
        with self._lock:
            utterance = Utterance(np.asarray(samples, np.float32))
            self._queue.append(utterance)
            return utterance

    def cancel(self, utterance: Utterance) -> None:
        """Take an utterance back: out of the queue, or off the tongue, which ends its stream."""
        with self._lock:
            if utterance in self._queue:
                self._queue.remove(utterance)
                utterance.state = "cancelled"
            elif utterance is self._utterance:
                self._silence_utterances()
                self._begin(None)

    def interrupt(self) -> None:
        """End whatever is being said or waits to be said; the next chunk is the first of a new stream."""
        with self._lock:
            self._silence_utterances(self._queue)
            self._queue.clear()
            self.source.interrupt()
            self._note_end()
            self._begin(None)

    def take_end(self) -> StreamEnd | None:
        """The end of the source, once, when all its chunks have been handed out."""
        with self._lock:
            end, self._end = self._end, None
            return end

    def pull(self, now_ns: int) -> list[Chunk]:
        """The chunks that are due by now, at most BURST of them."""
        with self._lock:
            if self.held:
                return []
            if self._start_ns is None:
                self._start_ns = now_ns
            self._rejoin(now_ns)
            chunks = []
            while self.next_due_ns <= now_ns and len(chunks) < BURST:
                chunks.append(self._next())
            return chunks

    def _rejoin(self, now_ns: int) -> None:
        """Give up what can't be caught up with."""
        late_ns = now_ns - self.next_due_ns
        if abs(late_ns) > MAX_STALL_NS:
            self._new_stream(now_ns)
        elif (
            self._speaker is self.source
            and self.source.backlog_limit is not None
            and late_ns > LIVE_BACKLOG_NS
        ):
            missed = late_ns // CHUNK_NS
            self.source.catch_up()
            self._count += missed
            self.gap_chunks += missed

    def _next(self) -> Chunk:
        if self._pause_left:
            self._pause_left -= 1
            samples = SILENCE
        elif self._utterance is not None or self._queue:
            samples = self._from_utterance()
        else:
            samples = self._from_source()
        chunk = Chunk(self._stream_id, self._count * CHUNK_SAMPLES, self.next_due_ns, samples)
        self._count += 1
        self._note_end()
        return chunk

    def _from_utterance(self) -> np.ndarray:
        if self._utterance is None:
            self._utterance = self._queue.popleft()
            self._begin(self._utterance)
        samples = self._utterance.take()
        if self._utterance.state == "said":
            self._utterance, self._pause_left = None, self._pause_chunks
            if self.source.backlog_limit is not None:
                self.source.interrupt()  # what a microphone heard meanwhile is stale
        return samples

    def _from_source(self) -> np.ndarray:
        samples = self.source.read()
        if samples is None:
            return SILENCE
        if self._speaker is not self.source:
            self._begin(self.source)
        return samples

    def _silence_utterances(self, waiting=()) -> None:
        for utterance in [*waiting, *([self._utterance] if self._utterance else [])]:
            utterance.state = "cancelled"
        self._utterance, self._pause_left = None, 0

    def _begin(self, speaker: "Source | Utterance | None") -> None:
        """Hand the stream to another speaker; None is whoever is silent: the live source, or nobody."""
        if speaker is None and self.source.live:
            speaker = self.source
        self._speaker = speaker
        if self._count:
            self._new_stream(self.next_due_ns)

    def _new_stream(self, start_ns: int) -> None:
        self._stream_id = (self._stream_id + 1) & 0xFFFFFFFF
        self._start_ns, self._count = start_ns, 0

    def _note_end(self) -> None:
        """Remember once that the source has ended, while the stream that it ended in is still the current
        one."""
        if self.source.ended and not self._end_told and self._start_ns is not None:
            self._end_told = True
            samples = max(0, self._count * CHUNK_SAMPLES - self.source.padding)
            self._end = StreamEnd(self._stream_id, samples, self._start_ns + samples * 1_000_000_000 // SAMPLE_RATE)
