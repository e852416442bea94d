"""Microphones and loudspeakers through sounddevice and PortAudio: what both need to be found again after they were lost."""

import importlib
from types import ModuleType

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 10.0)  # waits between tries; the last one for ever
DEAF_S = 2.0  # an open device that moves no block for so long is lost (an unplugged one raises nothing)


def load_sounddevice() -> ModuleType:
    """The module sounddevice, with its list of devices read afresh; while it reads, it keeps the process's stderr shut.

    Raises:
        ImportError, OSError: PortAudio is missing.
        sounddevice.PortAudioError: it can't start.
    """
    sounddevice = importlib.import_module("sounddevice")
    # PortAudio reads the devices only at its start: without this a plugged-in one isn't seen
    if sounddevice._initialized:
        sounddevice._terminate()
    sounddevice._initialize()
    return sounddevice


def wait_ns(tries: int) -> int:
    """How long to wait after so many tries in a row that failed."""
    return int(BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)] * 1e9)


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
