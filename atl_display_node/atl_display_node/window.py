"""The window: pygame shows the face, sounddevice plays its sound; Escape or closing it ends the node."""

import importlib
import os
import threading
import time
from collections import deque
from types import ModuleType

import numpy as np

from atl_display_node.loudspeaker import Loudspeaker
from atl_face.errors import UserError
from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE

TITLE = "ATL Avatar - synthetic face (AI generated)"  # the duty to disclose, EU AI Act article 50
BACKGROUND = (12, 14, 18)
UNSEEN = "offscreen", "dummy"  # SDL's drivers that draw for nobody
SOUND_QUEUE = 8  # chunks (160 ms) between the playout and the loudspeaker; more is dropped
WATCHED = 100  # chunks (2 s) in which chunks that always wait are found


class WindowSink:
    """Needs a display; works without a loudspeaker, and takes one that comes later.

    Args:
        size: (width, height) px of the window at its start; the picture keeps its proportions.
        fullscreen: fill the screen.
    """

    def __init__(self, size: tuple[int, int] = (640, 640), fullscreen: bool = False):
        self._size, self._fullscreen = size, fullscreen
        self.finished, self.address, self.problem = False, "", ""
        self._pygame: ModuleType | None = None
        self._loudspeaker = Loudspeaker(self._play)
        self._chunks, self._lock = deque(maxlen=SOUND_QUEUE), threading.Lock()
        self._left: deque[int] = deque(maxlen=WATCHED)  # that waited after each of the last chunks
        self._underruns, self._caught_up, self._shown = 0, 0, 0
        self._picture = None

    def open(self) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            self._pygame = pygame = importlib.import_module("pygame")
        except ImportError as error:
            raise UserError(
                "The window needs pygame: run `pip install pygame`, or set the display to web.", "no_pygame"
            ) from error
        try:
            pygame.display.init()
            flags = pygame.FULLSCREEN if self._fullscreen else pygame.RESIZABLE
            pygame.display.set_mode((0, 0) if self._fullscreen else self._size, flags)
            driver = pygame.display.get_driver()
            if driver in UNSEEN and os.environ.get("SDL_VIDEODRIVER") != driver:  # SDL's own last resort: nobody would see it
                raise pygame.error(f"SDL found no screen and took its driver {driver!r}")
        except pygame.error as error:
            sentence = f"No window can be opened here ({error}): set DISPLAY or WAYLAND_DISPLAY, or set the display to web."
            raise UserError(sentence, "no_display") from error
        pygame.display.set_caption(TITLE)
        pygame.mouse.set_visible(not self._fullscreen)
        self._draw()
        self._loudspeaker.service(time.monotonic_ns())

    def hear(self, samples: np.ndarray, media_time_ns: int) -> None:
        if self._loudspeaker.status != "on":  # one that opens later begins with what is heard then
            return
        with self._lock:
            self._chunks.append(samples)

    def show(self, image: np.ndarray, media_time_ns: int) -> None:
        self._picture = self._pygame.image.frombuffer(np.ascontiguousarray(image), image.shape[1::-1], "RGB")
        self._shown += 1
        self._draw()

    def idle(self) -> None:
        self._loudspeaker.service(time.monotonic_ns())
        pygame = self._pygame
        for event in pygame.event.get():
            escape = event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE
            if escape or event.type == pygame.QUIT:
                self.finished = True
            elif event.type == pygame.VIDEORESIZE:
                self._draw()

    @property
    def warning(self) -> str:
        return f"the sound is {self._loudspeaker.status}" if self._loudspeaker.lost else ""

    def figures(self) -> dict[str, object]:
        return {
            "shown": self._shown,
            "sound": self._loudspeaker.status,
            "sound_underruns": self._underruns,
            "sound_caught_up": self._caught_up,
            "sound_lag_ms": round(1000 * self._sound_lag_s(), 1),
        }

    def _sound_lag_s(self) -> float:
        """How long what is given now will wait before it is heard: in the queue, and in the device as PortAudio states it."""
        return len(self._chunks) * CHUNK_SAMPLES / SAMPLE_RATE + self._loudspeaker.latency_s

    def close(self) -> None:
        self._loudspeaker.close()
        if self._pygame is not None:
            self._pygame.display.quit()

    def _draw(self) -> None:
        screen = self._pygame.display.get_surface()
        screen.fill(BACKGROUND)
        if self._picture is not None:
            width, height = self._picture.get_size()
            scale = min(screen.get_width() / width, screen.get_height() / height)
            picture = self._picture
            if scale != 1.0:
                picture = self._pygame.transform.smoothscale(picture, (int(width * scale), int(height * scale)))
            screen.blit(picture, picture.get_rect(center=screen.get_rect().center))
        self._pygame.display.flip()

    def _play(self, out, frames: int, _time, status) -> None:
        """PortAudio's callback: int16 (320,) from the queue, silence where there is none.

        A late callback leaves chunks that would wait for ever, since as many come as go: the sound would stay behind the lips.
        Once some have always waited for WATCHED chunks, all but one of these are left out.
        """
        with self._lock:
            samples = self._chunks.popleft() if self._chunks else None
            self._left.append(len(self._chunks))
            if len(self._left) == WATCHED and min(self._left) > 1:
                for _ in range(min(self._left) - 1):
                    self._chunks.popleft()
                    self._caught_up += 1
                self._left.clear()
        if samples is None:
            self._underruns += 1
            samples = np.zeros(frames, np.int16)
        out[:] = samples.tobytes()
