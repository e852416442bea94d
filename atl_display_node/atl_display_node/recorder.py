"""Frames and sound from the topics into a clip: everything, in order, on one timeline."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atl_display_node.media_clock import SAMPLE_NS, MediaClock
from atl_face.pcm import to_float
from atl_face.stream import FRAME_NS

# A new stream that begins further from the end of the sound goes on there: the clock was set or the machine stood still. After
# more than 2 s (its MAX_STALL_NS) the audio node begins one, else where the old stream ends; some of that may have been lost.
MAX_JUMP_NS = 1_500_000_000
MAX_LOST_NS = 60_000_000_000  # within a stream, whose samples are counted, so much lost sound is believed
MAX_AHEAD_NS = 4_000_000_000  # a frame may overtake its sound by the node's queue of frames; more is of another time

# After its end a stream goes on in silence. An end so long before the clip is of sound that was over when the recording began;
# a later one may be of a very short sound whose chunks were all lost.
OVER_NS = 2_000_000_000


@dataclass(frozen=True)
class Stretch:
    """A part of the clip in which media time doesn't jump: it begins with frame `first`, and frame 0 would be at `origin_ns`."""

    origin_ns: int
    first: int


class Recorder:
    """Time 0 of the clip is the first sample that comes; frame i covers [i * 40, i * 40 + 40) ms of it.

    Where media time jumps from one stream to the next, the clip goes on without a gap; late frames stay with their sound.
    A frame that doesn't come is replaced by the one before it (by the one after it at the clip's start) and
    counted; so is sound by silence. The clip has `frames_wanted` frames once the end of the sound is known.

    Args:
        open_writer: (width, height) -> an object with write_frame, write_audio, close
            (atl_face.media.ClipWriter).
    """

    def __init__(self, open_writer: Callable[[tuple[int, int]], object]):
        self._open_writer, self._writer, self._abandoned = open_writer, None, False
        self._clock, self._stream_id = MediaClock(), None
        self._stretches: list[Stretch] = []
        self._origins: dict[int, int] = {}  # stream -> media time of the clip's start, as its stamps count
        self._told_end: tuple[int, int] | None = None  # stream and media time
        self._length_ns: int | None = None  # of the whole clip
        self._sound: list[np.ndarray] = []  # waits for the first frame, which tells the clip's size
        self._last: np.ndarray | None = None
        self.frames, self.missing, self.surplus = 0, 0, 0
        self.samples, self.missing_samples = 0, 0

    @property
    def frames_wanted(self) -> int | None:
        """Frames of the whole clip; None while the sound goes on."""
        return None if self._length_ns is None else max(1, round(self._length_ns / FRAME_NS))

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
        """Add a chunk: int16 (n,) at 16 kHz. One of a stream that another one has followed is left out."""
        if stream_id != self._stream_id:
            if stream_id in self._origins:
                return
            self._stream_id, self._clock = stream_id, MediaClock()
        if self._samples_left == 0:
            return
        counted_from_ns = self._clock.origin_ns
        start_ns = self._clock.place(first_sample, media_time_ns)
        self._follow(start_ns, MAX_LOST_NS if self._clock.origin_ns == counted_from_ns else MAX_JUMP_NS)
        self._origins[stream_id] = origin_ns = self._stretches[-1].origin_ns
        self._heed_end()
        at = round((start_ns - origin_ns) / SAMPLE_NS)
        if at > self.samples:
            self.missing_samples += at - self.samples
            self._write_audio(np.zeros(at - self.samples, np.int16))
        self._write_audio(samples[max(0, self.samples - at) :])

    def take_frame(self, media_time_ns: int, image: np.ndarray) -> None:
        """Add a picture (H, W, 3) uint8 RGB. Frames from before the first sample are not part of the clip."""
        if not self._stretches:
            return
        index = self._index_of(media_time_ns)
        if index is None or (self.frames_wanted is not None and index >= self.frames_wanted):
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

    def end_sound(self, stream_id: int, media_time_ns: int) -> None:
        """A stream's sound ends at this media time: the clip will be exactly as long, to half a frame.

        It counts once sound of the stream is heard: what is latched may be of a stream that ended long ago.
        """
        self._told_end = stream_id, media_time_ns
        self._heed_end()

    def close(self) -> None:
        """Finish the clip: fill up missing frames at its end, and cut nothing."""
        if self._writer is None:
            return
        wanted = self.frames_wanted or round(self.samples * SAMPLE_NS / FRAME_NS)
        self._fill(min(wanted, self._horizon), self._last)
        self._writer.close()
        self._writer = None

    def cut_short(self) -> str:
        """Close a clip that isn't complete, if there is one; returns what became of it, a sentence, or nothing."""
        if self._writer is None:
            told = self.frames or self._abandoned or self.frames_wanted is not None
            return "" if told else "Stopped before a frame came: no clip is written."
        self.close()
        return f"Stopped before the clip's end; it holds {self.summary}."

    def abandon(self) -> None:
        """The writer has failed, as was told: nothing more is given to it."""
        self._writer, self._abandoned = None, True

    @property
    def _horizon(self) -> int:
        """No frame of the sound so far can have this index or a higher one."""
        return (self.samples * SAMPLE_NS + MAX_AHEAD_NS) // FRAME_NS

    @property
    def _samples_left(self) -> int | None:
        """Samples until the end of the sound; None while it isn't known."""
        return None if self._length_ns is None else max(0, round(self._length_ns / SAMPLE_NS) - self.samples)

    def _heed_end(self) -> None:
        """Take the length from the end that was told, if that is of a sound which is in the clip."""
        stream_id, end_ns = self._told_end or (None, 0)
        if self._length_ns is not None or stream_id not in self._origins:
            return
        length_ns = end_ns - self._origins[stream_id]
        if length_ns > -OVER_NS:
            self._length_ns = length_ns
        self._told_end = None

    def _follow(self, start_ns: int, limit_ns: int) -> None:
        """Begin a new stretch at the end of the sound where the next chunk's media time is further from there than the limit."""
        end_ns = self.samples * SAMPLE_NS
        if not self._stretches or abs(start_ns - self._stretches[-1].origin_ns - end_ns) > limit_ns:
            self._stretches.append(Stretch(start_ns - end_ns, _nearest_frame(end_ns)))

    def _index_of(self, media_time_ns: int) -> int | None:
        """A frame's place in the clip; None where that is filled already, or where there is none.

        After the clock was set back it may have two, one of them in the other stretch's future: the earlier is the right one, for
        frames come in order.
        """
        ends = [*(stretch.first for stretch in self._stretches[1:]), self._horizon]
        indices = []
        for stretch, end in zip(self._stretches, ends, strict=True):
            index = _nearest_frame(media_time_ns - stretch.origin_ns)
            if max(stretch.first, self.frames) <= index < end:
                indices.append(index)
        return min(indices, default=None)

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
        samples = samples[: self._samples_left]
        if samples.size == 0:
            return
        self.samples += samples.size
        sound = to_float(samples)
        if self._writer is None:
            self._sound.append(sound)
        else:
            self._writer.write_audio(sound)


def _nearest_frame(time_ns: int) -> int:
    """Exact, and half a frame always upwards: a stream that begins 20 ms off the grid keeps all its frames."""
    return (2 * time_ns + FRAME_NS) // (2 * FRAME_NS)
