"""The loudspeaker, through sounddevice and PortAudio: absent or lost, it says so and tries again."""

import threading
from collections.abc import Callable
from types import ModuleType

from atl_face.sound_devices import DEAF_S, first_line, load_sounddevice, wait_ns
from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE

_PORTAUDIO = threading.Lock()  # it isn't thread-safe, and a loudspeaker that hangs may get a successor
CLOSE_S = 1.0  # a sound system that hangs isn't waited for any longer


class Loudspeaker:
    """The system's default output, 16 kHz mono; opened and closed in threads of its own, for the sound system may take seconds.

    Args:
        play: PortAudio's callback (out, frames, time, status) of 20 ms, called in its thread.
        load: gives the module sounddevice; an argument so that tests need no device.

    Attributes:
        status: "on", or "off: " and why.
        latency_s: of the open device, as PortAudio states it.
    """

    def __init__(self, play: Callable, load: Callable[[], ModuleType] = load_sounddevice):
        self._play, self._load = play, load
        self.status, self.latency_s = "off: it has not been opened yet", 0.0
        self._stream, self._stopped = None, threading.Event()
        self._calls, self._calls_seen, self._called_ns = 0, 0, 0
        self._was_on, self._hopeless, self._closed = False, False, False
        self._tries, self._next_try_ns = 0, None
        self._worker: threading.Thread | None = None

    @property
    def lost(self) -> bool:
        """True while it is off after having been on."""
        return self._was_on and self.status != "on"

    def service(self, now_ns: int) -> None:
        """Open it where it is time to, notice that it has gone; `now_ns` is monotonic. Never waits."""
        if self._worker is not None and self._worker.is_alive():
            self._called_ns = now_ns
        elif self._stream is not None:
            self._watch(now_ns)
        elif not self._hopeless and (self._next_try_ns is None or now_ns >= self._next_try_ns):
            self._next_try_ns = now_ns + wait_ns(self._tries)
            self._tries += 1
            self._called_ns = now_ns
            self._begin(self._open)

    def close(self) -> None:
        """Give the device back; a sound system that hangs keeps it, in its thread."""
        self._closed = True
        if self._worker is not None:
            self._worker.join(CLOSE_S)
            if self._worker.is_alive():
                return
        self._begin(self._shut)
        self._worker.join(CLOSE_S)

    def _watch(self, now_ns: int) -> None:
        """Notice a device that has gone."""
        if self._calls != self._calls_seen:
            self._calls_seen, self._called_ns = self._calls, now_ns
            self._was_on, self._tries = True, 0
        if self._stopped.is_set() or now_ns - self._called_ns > DEAF_S * 1e9:
            self.status, self.latency_s = "off: the loudspeaker was lost: check its plug; trying again", 0.0
            self._next_try_ns = now_ns + wait_ns(self._tries)
            self._begin(self._shut)

    def _begin(self, work: Callable[[], None]) -> None:
        def alone() -> None:
            with _PORTAUDIO:
                work()

        self._worker = threading.Thread(target=alone, name="loudspeaker", daemon=True)
        self._worker.start()

    def _open(self) -> None:
        try:
            sounddevice = self._load()
        except ImportError:
            self._hopeless, self.status = True, "off: sounddevice is missing (pip install sounddevice)"
            return
        except OSError:
            self._hopeless, self.status = True, "off: PortAudio is missing (apt install libportaudio2)"
            return
        except Exception as error:  # PortAudioError, which can't be named before the module is there
            self.status = f"off: the sound system can't be started ({first_line(error)})"
            return
        self._stopped = stopped = threading.Event()
        try:
            self._stream = sounddevice.RawOutputStream(
                samplerate=SAMPLE_RATE,
                channels=1,
                dtype="int16",
                blocksize=CHUNK_SAMPLES,
                callback=self._call,
                finished_callback=stopped.set,
            )
            self._stream.start()
            self.latency_s, self.status = float(self._stream.latency), "on"
        except (sounddevice.PortAudioError, ValueError) as error:
            self._shut()
            self.status = f"off: no loudspeaker can be opened ({first_line(error)})"
        if self._closed:
            self._shut()

    def _shut(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)

    def _call(self, out, frames: int, time, status) -> None:
        self._calls += 1
        self._play(out, frames, time, status)
