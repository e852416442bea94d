"""Sound that another program sends as messages, at any rate and pace; it is heard in real time, in order,
whole."""

import numpy as np

from atl_audio_node.chunker import Chunker, rate_problem
from atl_audio_node.sources import LiveQueue
from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE

CUSHION = 2  # chunks (40 ms): covers the jitter of a real-time sender in one machine or a quiet network
PAUSE_NS = 200_000_000  # a sender silent for longer has paused
MAX_QUEUED_S = 600.0  # a sender that is ten minutes ahead is a mistake; what comes then is lost and counted
BURST = int(MAX_QUEUED_S / 0.02)  # messages of 20 ms that may wait to be heard: a synthesiser publishes a text at once


class TopicSource(LiveQueue):
    """Messages may come faster than real time (a speech synthesiser's do): they queue, and nothing is
    dropped."""

    def __init__(self):
        super().__init__(backlog_limit=None, cushion=CUSHION)
        self._chunker: Chunker | None = None
        self._stream_id, self._next_sample, self._last_push_ns = None, 0, 0

    def push(self, stream_id: int, first_sample: int, rate_hz: int, samples: np.ndarray, now_ns: int) -> None:
        """Take one message: int16 (n,). A new stream id or rate ends the sound before it; a jump is counted
        as lost."""
        if problem := rate_problem("A message on audio_in has", rate_hz):
            self.problem = problem
            return
        if self._chunker is None or stream_id != self._stream_id or rate_hz != self._chunker.rate_hz:
            if self._chunker is not None:
                self.put(self._chunker.flush())
            self._chunker, self._stream_id, self._next_sample = Chunker(rate_hz), stream_id, first_sample
        self._last_push_ns = now_ns
        missing = first_sample - self._next_sample
        if missing > 0:
            self.lost += -(-missing * SAMPLE_RATE // (rate_hz * CHUNK_SAMPLES))
        self._next_sample = first_sample + samples.size
        if len(self._chunks) * CHUNK_SAMPLES >= MAX_QUEUED_S * SAMPLE_RATE:
            self.lost += 1
            self.problem = f"audio_in is more than {MAX_QUEUED_S:.0f} s ahead of real time: send more slowly."
            return
        self.problem = ""
        self.put(self._chunker.push(samples))

    def service(self, now_ns: int) -> None:
        """Called a few times a second: when the sender has paused, hand out what the chunker holds back."""
        if self._chunker is not None and now_ns - self._last_push_ns > PAUSE_NS:
            self.put(self._chunker.flush())
            self._chunker = None
