"""Sound that another program sends as messages, at any rate and pace; it is heard in real time, in order,
whole."""

import numpy as np

from atl_audio_node.chunker import Chunker, rate_problem
from atl_audio_node.sources import LiveQueue
from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE

CUSHION = 2  # chunks (40 ms): covers the jitter of a real-time sender in one machine or a quiet network
PAUSE_NS = 200_000_000  # a sender silent for longer has paused
MUTED_TOLD_NS = 3_000_000_000  # what comes for so long after an interrupt is no rest of an utterance: it is told
MAX_QUEUED_S = 600.0  # a sender that is ten minutes ahead is a mistake; what comes then is lost and counted
BURST = int(MAX_QUEUED_S / 0.02)  # messages of 20 ms that may wait to be heard: a synthesiser publishes a text at once


class TopicSource(LiveQueue):
    """Messages may come faster than real time (a speech synthesiser's do): they queue, and nothing is
    dropped; or they are the voice of somebody who speaks now, which can't wait.

    Args:
        backlog_s: of a live voice so much may wait (or a message, where that is longer); when it is more, and after a stall, all
            but the cushion is dropped. 0: utterances, said whole.
    """

    def __init__(self, backlog_s: float = 0.0):
        limit = max(CUSHION + 1, round(backlog_s * SAMPLE_RATE / CHUNK_SAMPLES)) if backlog_s else None
        super().__init__(backlog_limit=limit, cushion=CUSHION)
        self._chunker: Chunker | None = None
        self._stream_id, self._next_sample, self._last_push_ns = None, 0, 0
        self._muted_id: int | None = None  # of an interrupted utterance, of which more may come ...
        self._muted_since_ns: int | None = None  # ... and did

    def push(self, stream_id: int, first_sample: int, rate_hz: int, samples: np.ndarray, now_ns: int) -> None:
        """Take one message: int16 (n,). A new stream id or rate ends the sound before it; a jump is counted
        as lost."""
        if problem := rate_problem("A message on audio_in has", rate_hz):
            self.problem = problem
            return
        self._last_push_ns = now_ns
        if stream_id == self._muted_id:
            self._stay_muted(now_ns)
            return
        self._muted_id = None
        if self._chunker is None or stream_id != self._stream_id or rate_hz != self._chunker.rate_hz:
            if self._chunker is not None:
                self.put(self._chunker.flush())
            self._chunker, self._stream_id, self._next_sample = Chunker(rate_hz), stream_id, first_sample
        missing = first_sample - self._next_sample
        if missing > 0:
            self.lost += -(-missing * SAMPLE_RATE // (rate_hz * CHUNK_SAMPLES))
        self._next_sample = first_sample + samples.size
        if len(self._chunks) * CHUNK_SAMPLES >= MAX_QUEUED_S * SAMPLE_RATE:
            self.lost += 1
            self.problem = f"audio_in is more than {MAX_QUEUED_S:.0f} s ahead of real time: send more slowly."
            return
        self.problem = ""
        chunks = self._chunker.push(samples)
        if self.backlog_limit is not None:
            self.backlog_limit = max(self.backlog_limit, CUSHION + len(chunks))
        self.put(chunks)

    def _stay_muted(self, now_ns: int) -> None:
        self._muted_since_ns = now_ns if self._muted_since_ns is None else self._muted_since_ns
        if now_ns - self._muted_since_ns > MUTED_TOLD_NS:
            self.problem = ("audio_in was interrupted and goes on with the same stream_id: begin another stream, or pause for "
                            f"{PAUSE_NS / 1e9:g} s; of a live voice, which goes on, set backlog_s.")  # fmt: skip

    def service(self, now_ns: int) -> None:
        """Called a few times a second: when the sender has paused, hand out what the chunker holds back."""
        if now_ns - self._last_push_ns <= PAUSE_NS:
            return
        if self._muted_id is not None:
            self._muted_id, self.problem = None, ""
        if self._chunker is not None:
            self.put(self._chunker.flush(), last=True)
            self._chunker = None

    def interrupt(self) -> None:
        """Throw away what waits. What still comes of an utterance is ignored until its sender begins another stream, or pauses; a
        live voice goes on."""
        super().interrupt()
        if self.backlog_limit is None:
            self._muted_id = self._muted_id if self._chunker is None else self._stream_id
            self._chunker, self._muted_since_ns, self.problem = None, None, ""

    def close(self) -> None:
        super().close()
        self._chunker = self._muted_id = None
