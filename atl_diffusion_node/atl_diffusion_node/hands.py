"""A second thread to draw with: what doesn't need each other is done at the same time where there is a core for it."""
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


class OtherHand:
    """What it is given to do runs beside what goes on here; if it isn't there, at once.

    OpenCV, NumPy and the networks let go of Python's lock while they work, so two threads keep two cores busy.
    """

    def __init__(self, there: bool):
        self._pool = ThreadPoolExecutor(1, "atl_other_hand") if there else None

    def begin(self, work: Callable[..., Made], *given) -> Callable[[], Made]:
        """Start `work(*given)`; what is returned waits for it and returns or raises what it does. First come, first served."""
        if self._pool:
            return self._pool.submit(work, *given).result
        made = work(*given)
        return lambda: made
