"""One evaluation for the next frames of several faces: meant for a GPU, on which it has never run."""
import threading

import numpy as np

from atl_diffusion_node.runtime import Runtime


class BatchedRuntime:
    """A runtime that several renderers share, each drawing in a thread of its own and all at one pace.

    An evaluation begins when all of them have asked for one, and is of all their frames together where the runtime can do that
    (`step_batch`), else of one after the other. What each gets is what it would get alone, but for the arithmetic's last digits.

    Args:
        runtime: that evaluates.
        streams: renderers that share it. If one stops, the others wait: `abort` first.
    """

    concurrent = False  # a renderer's views come one after the other, in the same order in all

    def __init__(self, runtime: Runtime, streams: int):
        self.name, self._runtime, self._streams = f"{runtime.name} x{streams}", runtime, streams
        self._asked: list[tuple] = []
        self._answers: list[tuple] = []
        self._lock, self._together = threading.Lock(), threading.Barrier(streams, self._evaluate)
        self._views = {runtime.view: self}

    def _evaluate(self) -> None:
        """By whoever asks last, while the others wait."""
        asked, self._asked = self._asked, []
        if together := getattr(self._runtime, "step_batch", None):
            self._answers = together(asked)
        else:
            self._answers = [self._runtime.step(*one) for one in asked]

    def identity(self, portrait: np.ndarray, portrait_rasters: np.ndarray) -> list:
        with self._lock:
            return self._runtime.identity(portrait, portrait_rasters)

    def step(self, *asked) -> tuple[np.ndarray, np.ndarray, list]:
        """As `Runtime.step`.

        Raises:
            threading.BrokenBarrierError: a stream has stopped (`abort`), or the evaluation failed for another of them.
        """
        with self._lock:
            self._asked.append(asked)
            place = len(self._asked) - 1
        self._together.wait()
        return self._answers[place]  # it stays until all streams have asked again

    def of(self, view: str) -> "BatchedRuntime":
        with self._lock:
            if view not in self._views:
                self._views[view] = BatchedRuntime(self._runtime.of(view), self._streams)
            return self._views[view]

    def abort(self) -> None:
        """Let nobody wait any more: a stream has stopped."""
        for runtime in self._views.values():
            runtime._together.abort()
