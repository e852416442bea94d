"""The loudspeaker that comes late, is lost, comes back, or never is there; without a device."""

import threading
import time
from types import SimpleNamespace

import pytest

from atl_display_node.loudspeaker import Loudspeaker
from atl_face.sound_devices import BACK_OFF_S

S = 1_000_000_000


class PortAudioError(Exception):
    """As sounddevice's."""


class System:
    """A sound system: `fails` is what opening raises, `streams` are those that were opened."""

    def __init__(self):
        self.fails, self.loads, self.streams = None, 0, []

    def load(self):
        self.loads += 1
        if isinstance(self.fails, ImportError | OSError):
            raise self.fails
        return SimpleNamespace(PortAudioError=PortAudioError, RawOutputStream=self._open)

    def _open(self, **given):
        if self.fails:
            raise self.fails
        stream = SimpleNamespace(latency=0.04, running=False, closed=False, **given)
        stream.start = lambda: setattr(stream, "running", True)
        stream.close = lambda ignore_errors: setattr(stream, "closed", True)
        self.streams.append(stream)
        return stream


@pytest.fixture
def system():
    return System()


@pytest.fixture
def speaker(system):
    speaker = Loudspeaker(lambda out, *_: out.append("sound"), system.load)
    yield speaker
    speaker.close()


def serve(speaker, from_s, until_s, stream=None):
    """Time goes by in steps of 100 ms; a stream that is given asks for sound. Returns when the loudspeaker got on, if it did."""
    off = speaker.status != "on"
    for step in range(round(from_s * 10), round(until_s * 10)):
        if stream is not None:
            stream.callback([], 320, None, None)
        speaker.service(step * S // 10)
        speaker._worker.join()
        if off and speaker.status == "on":
            return step / 10
        off = speaker.status != "on"
    return None


def test_a_loudspeaker_that_comes_after_the_node_is_taken(speaker, system):
    system.fails = PortAudioError("no default output device\nand more")
    assert serve(speaker, 0, 5) is None
    assert speaker.status == "off: no loudspeaker can be opened (no default output device)" and not speaker.lost
    system.fails = None
    assert serve(speaker, 5, 30) < 5 + BACK_OFF_S[-1]
    assert system.streams[0].running and speaker.latency_s == 0.04
    out = []
    system.streams[0].callback(out, 320, None, None)
    assert out == ["sound"]


@pytest.mark.parametrize("told", [True, False])  # whether PortAudio says that the stream has ended
def test_a_loudspeaker_that_was_lost_is_told_and_opened_again(speaker, system, told):
    serve(speaker, 0, 10)
    first = system.streams[0]
    serve(speaker, 1, 20, first)
    assert speaker.status == "on" and len(system.streams) == 1
    system.fails = PortAudioError("gone")
    if told:
        first.finished_callback()
    serve(speaker, 20, 30)
    speaker.service(30 * S)
    assert speaker.lost and speaker.status.startswith("off: no loudspeaker") and first.closed and speaker.latency_s == 0
    system.fails = None
    assert serve(speaker, 31, 60) < 31 + BACK_OFF_S[-1]
    assert not speaker.lost and len(system.streams) == 2
    first.finished_callback()  # late: of the stream that has gone
    serve(speaker, 42, 45, system.streams[1])
    assert speaker.status == "on"


def test_a_loss_is_noticed_after_two_seconds(speaker, system):
    serve(speaker, 0, 1)
    serve(speaker, 1, 2, system.streams[0])
    for step in range(19, 39):
        speaker.service(step * S // 10)
    assert speaker.status == "on"
    speaker.service(40 * S // 10)
    assert speaker.lost and "was lost" in speaker.status


def test_a_device_that_opens_and_stays_deaf_is_tried_less_and_less(speaker, system):
    for step in range(600):
        speaker.service(step * S // 10)
        speaker._worker.join()
    assert 3 <= len(system.streams) <= 10 and not speaker.lost
    assert all(stream.closed for stream in system.streams[:-1])


@pytest.mark.parametrize("error, word", [(ImportError(), "pip install sounddevice"), (OSError(), "apt install libportaudio2")])
def test_what_is_not_installed_is_not_tried_again(speaker, system, error, word):
    system.fails = error
    serve(speaker, 0, 60)
    assert system.loads == 1 and word in speaker.status and not speaker.lost


def test_a_sound_system_that_hangs_blocks_nobody(system):
    answers = threading.Event()
    speaker = Loudspeaker(lambda *_: None, lambda: (answers.wait(20), system.load())[-1])
    before = time.monotonic()
    for step in range(100):
        speaker.service(step * S)
    assert time.monotonic() - before < 0.5
    answers.set()
    speaker.close()


def test_a_device_that_opens_after_the_end_is_given_back(system):
    gate, ready = threading.Event(), threading.Event()
    system.load, load = lambda: (ready.set(), gate.wait(20), load())[-1], system.load
    speaker = Loudspeaker(lambda *_: None, system.load)
    speaker.service(0)
    ready.wait(5)
    speaker.close()
    gate.set()
    speaker._worker.join(5)
    assert system.streams[0].closed


def test_a_sound_system_that_hangs_is_not_waited_for(speaker, system, monkeypatch):
    monkeypatch.setattr("atl_display_node.loudspeaker.CLOSE_S", 0.05)
    assert serve(speaker, 0, 5) is not None
    hangs = threading.Event()
    system.streams[0].close = lambda ignore_errors: hangs.wait(10)
    began = time.monotonic()
    speaker.close()
    assert time.monotonic() - began < 5
    hangs.set()
