"""Frames and sound from the topics into a clip: everything, in order, on one timeline."""

from collections.abc import Callable

import numpy as np

from atl_display_node.media_clock import SAMPLE_NS, MediaClock
from atl_face.pcm import to_float
from atl_face.stream import FRAME_NS


class Recorder:
    """Media time 0 of the clip is the first sample that comes; frame i covers [i * 40, i * 40 + 40) ms of it.

    A frame that doesn't come is replaced by the one before it (by the one after it at the clip's start) and
    counted; so is sound by silence. The clip has `frames_wanted` frames once the end of the sound is known.

    Args:
        open_writer: (width, height) -> an object with write_frame, write_audio, close
            (atl_face.media.ClipWriter).
    """

    def __init__(self, open_writer: Callable[[tuple[int, int]], object]):
        self._open_writer, self._writer = open_writer, None
        self._clock, self._stream_id = MediaClock(), None
        self._start_ns: int | None = None
        self._end_ns: int | None = None
        self._sound: list[np.ndarray] = []  # waits for the first frame, which tells the clip's size
        self._last: np.ndarray | None = None
        self.frames, self.missing, self.surplus = 0, 0, 0
        self.samples, self.missing_samples = 0, 0

    @property
    def frames_wanted(self) -> int | None:
        """Frames of the whole clip; None while the sound goes on."""
        if self._end_ns is None or self._start_ns is None:
            return None
        return max(1, round((self._end_ns - self._start_ns) / FRAME_NS))

    @property
    def complete(self) -> bool:
        """True when every frame of a sound that has ended is there."""
        return self.frames_wanted is not None and self.frames >= self.frames_wanted

    @property
    def summary(self) -> str:
        """What the clip holds, in words."""
        missing = f", {self.missing} frames missing" if self.missing else ""
        return f"{self.frames} frames, {self.samples * SAMPLE_NS / 1e9:.2f} s of sound{missing}"

    def take_audio(self, stream_id: int, first_sample: int, media_time_ns: int, samples: np.ndarray) -> None:
        """Add a chunk: int16 (n,) at 16 kHz."""
        if stream_id != self._stream_id:
            self._stream_id, self._clock = stream_id, MediaClock()
        start_ns = self._clock.place(first_sample, media_time_ns)
        if self._start_ns is None:
            self._start_ns = start_ns
        at = round((start_ns - self._start_ns) / SAMPLE_NS)
        if at > self.samples:
            self.missing_samples += at - self.samples
            self._write_audio(np.zeros(at - self.samples, np.int16))
        self._write_audio(samples[max(0, self.samples - at) :])

    def take_frame(self, media_time_ns: int, image: np.ndarray) -> None:
        """Add a picture (H, W, 3) uint8 RGB. Frames from before the first sample are not part of the clip."""
        if self._start_ns is None:
            return
        index = round((media_time_ns - self._start_ns) / FRAME_NS)
        if index < self.frames or (self.frames_wanted is not None and index >= self.frames_wanted):
            self.surplus += 1
            return
        if self._last is None:
            height, width = image.shape[0] & ~1, image.shape[1] & ~1  # 4:2:0 wants even sides
            self._size = (width, height)
            self._writer = self._open_writer(self._size)
            for samples in self._sound:
                self._writer.write_audio(samples)
            self._sound.clear()
        image = self._fit(image)
        self._fill(index, image if self._last is None else self._last)
        self._writer.write_frame(image)
        self.frames += 1
        self._last = image

    def end_sound(self, media_time_ns: int) -> None:
        """The sound ends at this media time: the clip will be exactly as long, to half a frame."""
        self._end_ns = media_time_ns

    def close(self) -> None:
        """Finish the clip: fill up missing frames at its end, and cut nothing."""
        if self._writer is None:
            return
        wanted = self.frames_wanted or round(self.samples * SAMPLE_NS / FRAME_NS)
        self._fill(wanted, self._last)
        self._writer.close()
        self._writer = None

    def abandon(self) -> None:
        """The writer has failed: nothing more is given to it."""
        self._writer = None

    def _fill(self, until: int, image: np.ndarray) -> None:
        while self.frames < until:
            self._writer.write_frame(image)
            self.frames += 1
            self.missing += 1

    def _fit(self, image: np.ndarray) -> np.ndarray:
        """Cut or pad to the clip's size: a portrait of another size may come in the midst of a clip."""
        width, height = self._size
        if image.shape[:2] == (height, width):
            return image
        fitted = np.zeros((height, width, 3), np.uint8)
        part = image[:height, :width]
        fitted[: part.shape[0], : part.shape[1]] = part
        return fitted

    def _write_audio(self, samples: np.ndarray) -> None:
        if self._end_ns is not None:
            left = round((self._end_ns - self._start_ns) / SAMPLE_NS) - self.samples
            samples = samples[: max(0, left)]
        if samples.size == 0:
            return
        self.samples += samples.size
        sound = to_float(samples)
        if self._writer is None:
            self._sound.append(sound)
        else:
            self._writer.write_audio(sound)
