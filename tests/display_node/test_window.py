"""The window, on SDL's dummy display; and where there is no display at all."""

from types import SimpleNamespace

import numpy as np
import pytest

from atl_display_node.loudspeaker import Loudspeaker
from atl_display_node.window import WindowSink
from atl_face.errors import UserError

pygame = pytest.importorskip("pygame")


@pytest.fixture
def window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = WindowSink(size=(400, 300))
    window.open()
    yield window
    window.close()


def test_a_picture_is_shown_whole_in_the_middle(window):
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (250, 0, 0), (0, 0, 250)
    window.show(image, 0)
    screen = pygame.surfarray.array3d(pygame.display.get_surface())  # (x, y, RGB)
    assert screen[100, 150].tolist() == [250, 0, 0] and screen[300, 150].tolist() == [0, 0, 250]
    assert screen[20, 150].max() < 30  # beside it: the background
    assert window.figures()["shown"] == 1


def test_a_view_of_a_message_can_be_shown(window):
    data = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    window.show(data[:, ::-1], 0)  # not contiguous, as from a bgr8 message
    assert window.figures()["shown"] == 1


@pytest.mark.parametrize("kind, fields", [(pygame.KEYDOWN, {"key": pygame.K_ESCAPE}), (pygame.QUIT, {})])
def test_escape_and_closing_end_the_node(window, kind, fields):
    window.idle()
    assert not window.finished
    pygame.event.post(pygame.event.Event(kind, fields))
    window.idle()
    assert window.finished


def test_sound_without_a_loudspeaker_is_no_reason_to_stop(window):
    for _ in range(100):
        window.hear(np.zeros(320, np.int16), 0)
    assert window.figures()["sound"].startswith(("on", "off"))


def test_a_loudspeaker_that_comes_and_goes_is_told(window):
    class Device:
        latency = 0.0

        def __init__(self, finished_callback=None, **_):
            self.stop = finished_callback

        def start(self):
            devices.append(self)

        def close(self, ignore_errors):
            pass

    devices = []
    window._loudspeaker.close()
    window._loudspeaker = speaker = Loudspeaker(
        window._play, lambda: SimpleNamespace(RawOutputStream=Device, PortAudioError=OSError)
    )
    assert window.figures()["sound"].startswith("off") and window.warning == ""
    window.idle()
    speaker._worker.join()
    assert window.figures()["sound"] == "on" and window.warning == ""
    speaker._call(bytearray(640), 320, None, None)
    window.idle()
    devices[0].stop()
    window.idle()
    assert window.figures()["sound"].startswith("off") and "was lost" in window.warning


@pytest.fixture
def sounding(window, monkeypatch):
    """A window whose loudspeaker is on."""
    window._loudspeaker.close()
    on = SimpleNamespace(status="on", latency_s=0.0, lost=False, close=lambda: None)
    monkeypatch.setattr(window, "_loudspeaker", on)
    return window


def test_a_loudspeaker_that_comes_later_begins_with_what_is_heard_then(sounding):
    out = bytearray(640)
    sounding._loudspeaker.status = "off: not yet"
    sounding.hear(np.full(320, 1, np.int16), 0)
    sounding._loudspeaker.status = "on"
    sounding.hear(np.full(320, 2, np.int16), 0)
    sounding._play(out, 320, None, None)
    assert set(np.frombuffer(out, np.int16)) == {2}


def test_sound_that_fell_behind_catches_up(sounding):
    """A callback that came late leaves a backlog, which must not stay for good; one chunk in reserve may."""
    window, out = sounding, bytearray(640)
    for n in range(6):
        window.hear(np.full(320, n, np.int16), 0)
    heard = []
    for n in range(6, 400):
        window._play(out, 320, None, None)
        heard.append(int(np.frombuffer(out, np.int16)[0]))
        window.hear(np.full(320, n, np.int16), 0)
    lag = [n - chunk for n, chunk in zip(range(6, 400), heard, strict=True)]
    assert lag[0] == 6 and lag[-1] == 2 and window.figures()["sound_caught_up"] == 4
    assert heard == sorted(heard), "in order"
    assert window.figures()["sound_lag_ms"] == 40


def test_the_loudspeaker_gets_the_sound_in_order(sounding):
    for n in range(3):
        sounding.hear(np.full(320, n, np.int16), 0)
    out = bytearray(640)
    for n in range(3):
        sounding._play(out, 320, None, None)
        assert set(np.frombuffer(out, np.int16)) == {n}
    sounding._play(out, 320, None, None)
    assert not any(out)


@pytest.mark.parametrize("driver", ["x11", None])
def test_no_display_is_a_sentence(monkeypatch, driver):
    """Left alone, SDL falls back to a driver that draws for nobody."""
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    if driver:
        monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    window = WindowSink()
    with pytest.raises(UserError, match="No window can be opened here"):
        window.open()
    window.close()
