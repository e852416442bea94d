"""What a sound source is to the stream, and the queue behind those that sound arrives at by itself."""

import threading
from collections import deque
from typing import Protocol

import numpy as np

from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE


class Source(Protocol):
    """Gives 20 ms chunks (320,) float32 when asked; knows nothing of clocks.

    Attributes:
        live: sound arrives by itself (microphone, topic), so the source owns the stream also while it is
            silent.
        backlog_limit: chunks that may wait; None when nothing may be lost.
        problem: one sentence about what is wrong and what to do, "" when all is well.
        lost: chunks that were dropped so far.
        queued_s: sound that has arrived and waits to be heard.
    """

    live: bool
    backlog_limit: int | None
    problem: str
    lost: int
    queued_s: float

    def read(self) -> np.ndarray | None:
        """The next chunk, or None when there is none now."""

    def catch_up(self) -> None:
        """Lose what waits, where sound can't wait; called after a stall."""

    def service(self, now_ns: int) -> None:
        """Called a few times a second, off the path of the sound: look after devices; `now_ns` of a clock that never jumps."""

    def interrupt(self) -> None:
        """Stop what is being said: a file ends, what waits in a queue is thrown away."""

    @property
    def ended(self) -> bool:
        """True when nothing will ever come again."""

    @property
    def padding(self) -> int:
        """Samples of silence that filled up the last chunk of a source that has ended."""

    def close(self) -> None:
        """Give devices back; a live source's `service` takes them again."""


class SilentSource:
    """Never says anything; the graph's face idles until `say` gives it words."""

    live, backlog_limit, problem, lost, queued_s, ended, padding = False, None, "", 0, 0.0, False, 0

    def read(self) -> None:
        return None

    def catch_up(self) -> None:
        return None

    def service(self, now_ns: int) -> None:
        return None

    def interrupt(self) -> None:
        return None

    def close(self) -> None:
        return None


class LiveQueue:
    """Chunks between a thread that brings them and the stream that reads them; the reader waits for a cushion
    first.

    Args:
        backlog_limit: chunks that may wait; when there are more, all but the cushion are lost and counted, or
            else the stream would stay late for ever. None: no limit.
        cushion: chunks that must wait before the first read after a drought, so that a late block isn't heard
            as a hole.
    """

    live, ended, padding = True, False, 0

    def __init__(self, backlog_limit: int | None, cushion: int):
        self.backlog_limit, self.cushion = backlog_limit, cushion
        self.problem, self.lost = "", 0
        self._chunks: deque[np.ndarray] = deque()
        self._flowing = False
        self._lock = threading.Lock()

    @property
    def queued_s(self) -> float:
        return len(self._chunks) * CHUNK_SAMPLES / SAMPLE_RATE

    def put(self, chunks: list[np.ndarray], last: bool = False) -> None:
        """Append chunks (320,) float32; from any thread. After the last ones nobody waits for a cushion."""
        with self._lock:
            self._chunks.extend(chunks)
            self._flowing |= last
            if self.backlog_limit is not None and len(self._chunks) > self.backlog_limit:
                self._drop_to_cushion()

    def read(self) -> np.ndarray | None:
        with self._lock:
            if not self._flowing and len(self._chunks) < self.cushion:
                return None
            self._flowing = bool(self._chunks)
            return self._chunks.popleft() if self._chunks else None

    def catch_up(self) -> None:
        with self._lock:
            self._drop_to_cushion()

    def service(self, now_ns: int) -> None:
        """A plain queue has nothing to look after."""

    def interrupt(self) -> None:
        with self._lock:
            self._chunks.clear()

    def close(self) -> None:
        self.interrupt()

    def _drop_to_cushion(self) -> None:
        while len(self._chunks) > self.cushion:
            self._chunks.popleft()
            self.lost += 1
