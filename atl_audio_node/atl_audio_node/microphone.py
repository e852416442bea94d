"""The microphone, through sounddevice and PortAudio: any device at any rate; absent or lost, it says so and
tries again."""

from collections.abc import Callable
from types import ModuleType

import numpy as np

from atl_audio_node.chunker import Chunker
from atl_audio_node.sources import LiveQueue
from atl_face.sound_devices import DEAF_S, first_line, load_sounddevice, wait_ns

BACKLOG_LIMIT = 10  # chunks (200 ms): older sound is of no use in a conversation
CUSHION = 2  # chunks (40 ms): PortAudio's blocks come with some jitter
BLOCK_S = 0.01  # small blocks keep the latency low at little cost


def input_devices(sounddevice: ModuleType) -> list[str]:
    """Names of the devices that can record, with their index, as PortAudio gives them."""
    devices = enumerate(sounddevice.query_devices())
    return [f"{index}: {device['name']}" for index, device in devices if device["max_input_channels"] > 0]


class MicrophoneSource(LiveQueue):
    """A recording device as a source; `service` opens it and looks after it, `problem` tells what is wrong.

    Args:
        device: PortAudio's index as text, a part of the name, or "" for the system's default.
        rate_hz: 0 takes the device's own rate, which is what the hardware does best.
        load: gives the module sounddevice; an argument so that tests need no device.
    """

    def __init__(self, device: str = "", rate_hz: int = 0, load: Callable[[], ModuleType] = load_sounddevice):
        super().__init__(BACKLOG_LIMIT, CUSHION)
        self._device, self._rate_hz, self._load = device, rate_hz, load
        self._stream = None
        self._chunker: Chunker | None = None
        self._stopped = False
        self._blocks = 0
        self._blocks_seen, self._heard_ns = 0, 0
        self._tries, self._next_try_ns = 0, None
        self.description = ""

    def service(self, now_ns: int) -> None:
        if self._stream is not None:
            self._watch(now_ns)
        elif self._next_try_ns is None or now_ns >= self._next_try_ns:
            self._open(now_ns)

    def close(self) -> None:
        self._shut()
        self.problem, self._tries, self._next_try_ns = "", 0, None
        super().close()

    def _open(self, now_ns: int) -> None:
        try:
            sounddevice = self._load()
        except ImportError:
            self._retry_later(now_ns, "The microphone needs sounddevice: run `pip install sounddevice`, or use a sound file.")
            return
        except OSError:
            self._retry_later(now_ns, "The microphone needs PortAudio, which is not installed: "
                                      "run `apt install libportaudio2`, or use a sound file as the source.")  # fmt: skip
            return
        except Exception as error:  # PortAudioError, which can't be named before the module is there
            self._retry_later(now_ns, f"The sound system can't be started ({first_line(error)}): is it running? Trying again.")
            return
        try:
            wanted = int(self._device) if self._device.isdecimal() else self._device or None
            info = sounddevice.query_devices(wanted, "input")
            rate_hz = self._rate_hz or int(info["default_samplerate"])
            self._chunker = Chunker(rate_hz)
            self._stream = sounddevice.InputStream(
                samplerate=rate_hz,
                blocksize=int(rate_hz * BLOCK_S),
                device=wanted,
                dtype="float32",
                latency="low",
                channels=min(2, info["max_input_channels"]),
                callback=self._take,
                finished_callback=self._finish,
            )
            self._stopped = False
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            self._shut()
            self._retry_later(now_ns, self._refusal(sounddevice, error))
            return
        self.description = f"{info['name']} at {rate_hz} Hz"
        self.problem, self._tries = "", 0
        self._blocks_seen, self._heard_ns = self._blocks, now_ns

    def _refusal(self, sounddevice: ModuleType, error: Exception) -> str:
        """Why the device couldn't be opened, and what else there is."""
        try:
            devices = input_devices(sounddevice)
        except sounddevice.PortAudioError:
            devices = []
        if not devices:
            return "There is no microphone: plug one in, or use a sound file as the source."
        name = f"The microphone {self._device!r}" if self._device else "The default microphone"
        return f"{name} can't be opened ({first_line(error)}): set `device` to one of [{'; '.join(devices)}]."

    def _watch(self, now_ns: int) -> None:
        """Notice a device that has gone."""
        if self._blocks != self._blocks_seen:
            self._blocks_seen, self._heard_ns = self._blocks, now_ns
        if self._stopped or now_ns - self._heard_ns > DEAF_S * 1e9:
            self._shut()
            self._retry_later(
                now_ns, f"The microphone {self.description} was lost: check its plug; trying again."
            )

    def _retry_later(self, now_ns: int, problem: str) -> None:
        self._next_try_ns = now_ns + wait_ns(self._tries)
        self._tries += 1
        self.problem = problem

    def _shut(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)

    def _take(self, block: np.ndarray, frames: int, time, status) -> None:
        """PortAudio's callback, in its own thread: block is (frames, 1 or 2) float32."""
        self._blocks += 1
        self.put(self._chunker.push(block))

    def _finish(self) -> None:
        """PortAudio's word that the stream has stopped, in its own thread."""
        self._stopped = True
