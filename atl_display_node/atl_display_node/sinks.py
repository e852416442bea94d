"""What a sink of the playout is: somewhere that pictures are shown and sound is heard."""

from typing import Protocol

import numpy as np

from atl_face.errors import UserError


class Sink(Protocol):
    """All methods but `figures` are called from one thread, the playout's; the attributes may be read in any.

    Attributes:
        finished: True when the sink wants the node to end (its window was closed).
        address: what to tell people when it is open, "" when there is nothing to tell.
        problem: why something isn't shown or heard now, "" when all is well.
        warning: what was lost though the rest goes on, "" when nothing was.
    """

    finished: bool
    address: str
    problem: str
    warning: str

    def open(self) -> None:
        """Take what it needs. Raises UserError with what is missing."""

    def hear(self, samples: np.ndarray, media_time_ns: int) -> None:
        """20 ms of sound to be heard now: int16 (320,) at 16 kHz."""

    def show(self, image: np.ndarray, media_time_ns: int) -> None:
        """A picture to be shown from now on: (H, W, 3) uint8 RGB."""

    def idle(self) -> None:
        """Called at least every 10 ms: answer the window system."""

    def figures(self) -> dict[str, object]:
        """Figures for the diagnostics; from any thread."""

    def close(self) -> None:
        """Give everything back."""


class NoSink:
    """For a robot that has its own screen and loudspeaker: the topics are all there is."""

    finished, address, problem, warning = False, "", "", ""

    def open(self) -> None:
        return None

    def hear(self, samples: np.ndarray, media_time_ns: int) -> None:
        return None

    def show(self, image: np.ndarray, media_time_ns: int) -> None:
        return None

    def idle(self) -> None:
        return None

    def figures(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        return None


def make_sink(kind: str, host: str, port: int, max_viewers: int, page_names: str, fullscreen: bool) -> Sink:
    """The sink of a name; a recorder (`file`) takes all from the topics and shows nothing.

    The libraries of page and window are loaded only where they are needed.

    Raises:
        UserError: the page's libraries are missing.
    """
    if kind == "web":
        try:
            from atl_display_node.web import WebSink
        except ImportError as error:
            sentence = f"The page can't be served ({error}): run `pip install aiohttp aiortc`, or set the display to window."
            raise UserError(sentence, "no_web") from error
        return WebSink(host, port, max_viewers, page_names)
    if kind == "window":
        from atl_display_node.window import WindowSink

        return WindowSink(fullscreen=fullscreen)
    return NoSink()
