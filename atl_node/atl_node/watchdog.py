"""A node that hangs ends itself: where its executor doesn't prove in time that callbacks still run, the process exits with 1.

Python's faulthandler is the watchdog: a thread in C, which also finds a library that hangs with Python's lock held.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from contextlib import suppress

from atl_face.errors import UserError

LIMIT = "ATL_HANGS_S"
"""Environment variable: seconds without a callback after which a node ends itself, 0 for never (under a debugger, say)."""
LIMIT_S = 30.0  # callbacks take milliseconds; the longest known ones are transitions, see PATIENCE_S
PATIENCE_S = 300.0  # for a transition and for the end: networks that are compiled, an hour of sound that is read, a clip closed
BEAT_S = 1.0  # between proofs


def limit_s() -> float:
    """Seconds of `LIMIT`. Raises UserError where that is no number of seconds."""
    given = os.environ.get(LIMIT, "")
    try:
        seconds = float(given or LIMIT_S)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise UserError(f"{LIMIT} is a number of seconds (0: never), not {given!r}.", "bad_parameter")
    return seconds


class Watchdog:
    """The process's one, asleep until `begin`. It barks on the stderr of that moment, which is shut while mediapipe works."""

    def __init__(self):
        self._limit_s, self._stderr = 0.0, -1

    def begin(self, seconds: float) -> None:
        """Watch from now on, unless it's for 0 s, without a stderr, or on Python 3.10, which waits by the system's clock."""
        with suppress(OSError):
            if seconds and sys.version_info >= (3, 11):
                self._stderr, self._limit_s = os.dup(2), seconds
        self.beat()

    def beat(self, patience_s: float = 0.0) -> None:
        """Callbacks run: the next proof is due within the limit, or once within `patience_s` where that is longer."""
        if self._limit_s:
            faulthandler.dump_traceback_later(max(self._limit_s, patience_s), exit=True, file=self._stderr)

    def rest(self) -> None:
        """Watch no more."""
        self._limit_s = 0.0
        faulthandler.cancel_dump_traceback_later()


watchdog = Watchdog()
