"""When a frame has fallen behind its stream: judged by the best delay that the stream has managed, whatever the clocks say."""

from collections import deque

STEADY = 5  # frames in a row that must be so early before it counts as the stream's best
LOST = 50  # frames late in a row (2 s with nothing drawn): then it is the clock that has moved, not the work


class Lateness:
    """Delays are from a frame's media time to now, ns. They hold an unknown, constant part (bags have old stamps, hosts have
    clocks of their own), so the smallest one is the measure. A few frames may come early, as the last ones of a stream do
    when its end is known: they don't count.
    """

    def __init__(self):
        self.restart()

    def restart(self) -> None:
        """A new stream begins."""
        self._recent: deque[int] = deque(maxlen=STEADY)
        self._best_ns: int | None = None
        self._late_in_a_row = 0

    def is_late(self, delay_ns: int, limit_ns: float) -> bool:
        """Whether a frame of this delay is behind the stream's best by more than the limit."""
        self._recent.append(delay_ns)
        steady_ns = max(self._recent)
        if self._best_ns is None or steady_ns < self._best_ns or self._late_in_a_row >= LOST:
            self._best_ns = steady_ns
        late = delay_ns - self._best_ns > limit_ns
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        return late
