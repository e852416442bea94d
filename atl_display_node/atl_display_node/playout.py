"""What is to be heard and shown now: sound and frames in step, at media time plus a constant delay."""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from atl_display_node.media_clock import SAMPLE_NS, MediaClock
from atl_face.stream import CHUNK_SAMPLES, FRAME_NS

SLOT_NS = CHUNK_SAMPLES * SAMPLE_NS  # sound is given out in pieces of 20 ms
MAX_BEHIND_NS = 1_000_000_000  # after a longer stall what was missed is skipped instead of played fast
MAX_FRAMES = 64  # more can't wait usefully: 2.5 s
MAX_AHEAD_NS = MAX_FRAMES * FRAME_NS  # a frame of a later time is of before the clock was set back
STARVED_NS = 500_000_000  # with nothing shown for so long a late frame is better than a frozen face
LOUD = 100  # int16; a queued sound below it (-50 dBFS) is silence, and dropping it isn't an interruption
RETIRED_KEPT = 16  # old stream ids remembered, so that a straggler of an interrupted stream isn't heard


@dataclass(frozen=True)
class Slot:
    """20 ms to be heard now: samples int16 (320,), `first_sample` counting on without a gap from 0."""

    first_sample: int
    media_time_ns: int
    samples: np.ndarray


@dataclass(frozen=True, order=True)
class Frame:
    """A picture (H, W, 3) uint8 RGB that covers 40 ms from `media_time_ns` on."""

    media_time_ns: int
    image: np.ndarray = field(compare=False)


@dataclass
class Counts:
    """What happened so far."""

    shown: int = 0  # frames
    late: int = 0  # frames that came after their slot
    skipped: int = 0  # frames that were there but overtaken, because `tick` was called too late
    stale: int = 0  # frames of an interrupted stream
    interrupts: int = 0
    silent_samples: int = 0  # filled in because no sound was there
    late_samples: int = 0  # sound that came after its slot
    skew_ms: float = 0.0  # picture minus sound, at the last shown frame; + = picture late

    def figures(self) -> dict[str, object]:
        """For the diagnostics."""
        return {
            "frames_shown": self.shown,
            "frames_late": self.late,
            "frames_dropped": self.late + self.skipped + self.stale,
            "frames_stale": self.stale,
            "skew_ms": round(self.skew_ms, 1),
            "interrupts": self.interrupts,
            "late_samples": self.late_samples,
            "silent_samples": self.silent_samples,
        }


class Playout:
    """An item with media time t is due at t + delay, whatever happens; nothing is ever played later to catch
    up.

    A new stream id drops the sound that waits of the old one. Where that cuts off something audible (an
    interrupt), the old stream's frames are dropped too, and the new ones are shown as they come until sound
    begins again: the mouth stops at once and closes as soon as its first silent frame is there. `now_ns` is
    on the clock of the media times. Not thread-safe.
    """

    def __init__(self, delay_s: float):
        self.delay_ns = round(delay_s * 1e9)
        self.counts = Counts()
        self._clock, self._stream_id = MediaClock(), None
        self._retired: deque[int] = deque(maxlen=RETIRED_KEPT)
        self._sound: deque[tuple[int, np.ndarray]] = deque()  # (media time of its first sample, int16 (n,))
        self._cursor_ns: int | None = None  # media time of the next slot
        self._samples_given = 0
        self._frames: list[Frame] = []
        self._last_frame_ns: int | None = None  # media time of the frame that is shown
        self._last_shown_ns: int | None = None  # when it was shown
        self._now_ns: int | None = None  # of the last tick
        self._sound_late_ns = 0
        self._fresh_from_ns: int | None = None  # frames before it are of an interrupted stream
        self._hurry = False

    def push_audio(self, stream_id: int, first_sample: int, media_time_ns: int, samples: np.ndarray) -> None:
        """Take a chunk: int16 (n,) at 16 kHz."""
        if stream_id in self._retired:
            self.counts.late_samples += samples.size
            return
        if stream_id != self._stream_id:
            self._change_stream(stream_id, media_time_ns)
        start_ns = self._clock.place(first_sample, media_time_ns)
        if self._cursor_ns is None:
            self._cursor_ns = start_ns
        if self._hurry and _is_loud(samples):
            self._hurry = False
        past = min(samples.size, max(0, -(-(self._cursor_ns - start_ns) // SAMPLE_NS)))
        self.counts.late_samples += past
        if past < samples.size:
            self._sound.append((start_ns + past * SAMPLE_NS, samples[past:]))

    def push_frame(self, media_time_ns: int, image: np.ndarray) -> None:
        """Take a picture (H, W, 3) uint8; it may come in any order."""
        if self._fresh_from_ns is not None and media_time_ns < self._fresh_from_ns:
            self.counts.stale += 1
        elif self._now_ns is not None and media_time_ns > self._now_ns + MAX_AHEAD_NS:
            self.counts.skipped += 1
        elif self._last_frame_ns is not None and media_time_ns <= self._last_frame_ns:
            self.counts.late += 1
        else:
            insort(self._frames, Frame(media_time_ns, image))
            if len(self._frames) > MAX_FRAMES:
                self._frames.pop(0)
                self.counts.skipped += 1

    def tick(self, now_ns: int) -> tuple[list[Slot], Frame | None]:
        """The sound that has become due since the last tick, and the frame to show from now on, if it
        changes."""
        if self._now_ns is not None and now_ns < self._now_ns - MAX_BEHIND_NS:  # the clock was set back
            self.begin_anew()
        self._now_ns = now_ns
        return self._due_sound(now_ns - self.delay_ns), self._due_frame(now_ns)

    def begin_anew(self) -> None:
        """Forget what waits, and where the streams were; sound goes on being counted."""
        self._frames.clear()
        self._sound.clear()
        self._retired.clear()
        self._stream_id = self._cursor_ns = self._last_frame_ns = self._last_shown_ns = self._fresh_from_ns = None
        self._now_ns = None
        self._hurry = False

    def next_due_ns(self) -> int | None:
        """When `tick` will have something to give; None when nothing is known to come."""
        due = [] if self._cursor_ns is None else [self._cursor_ns]
        if self._frames:
            due.append(self._frames[0].media_time_ns)
        return min(due) + self.delay_ns if due else None

    def _change_stream(self, stream_id: int, media_time_ns: int) -> None:
        if any(_is_loud(samples) for _, samples in self._sound):
            self.counts.interrupts += 1
            self._hurry, self._fresh_from_ns = True, media_time_ns
            stale = sum(frame.media_time_ns < media_time_ns for frame in self._frames)
            self.counts.stale += stale
            del self._frames[:stale]
        self._sound.clear()
        if self._stream_id is not None:
            self._retired.append(self._stream_id)
        self._stream_id, self._clock = stream_id, MediaClock()

    def _due_sound(self, media_now_ns: int) -> list[Slot]:
        if self._cursor_ns is None:
            return []
        if abs(media_now_ns - self._cursor_ns) > MAX_BEHIND_NS + self.delay_ns:
            self._cursor_ns = media_now_ns
        slots = []
        while self._cursor_ns <= media_now_ns:
            slots.append(Slot(self._samples_given, self._cursor_ns, self._fill_slot()))
            self._sound_late_ns = media_now_ns - self._cursor_ns
            self._samples_given += CHUNK_SAMPLES
            self._cursor_ns += SLOT_NS
        return slots

    def _fill_slot(self) -> np.ndarray:
        """The samples in [cursor, cursor + 20 ms); what isn't there is silence."""
        slot, filled = np.zeros(CHUNK_SAMPLES, np.int16), 0
        while self._sound:
            start_ns, samples = self._sound.popleft()
            offset = -(-(start_ns - self._cursor_ns) // SAMPLE_NS)
            if offset < 0:  # overlaps what was given out before
                samples, offset = samples[-offset:], 0
            if offset >= CHUNK_SAMPLES:
                self._sound.appendleft((start_ns, samples))
                break
            piece = samples[: CHUNK_SAMPLES - offset]
            slot[offset : offset + piece.size] = piece
            filled += piece.size
            if piece.size < samples.size:
                self._sound.appendleft((self._cursor_ns + SLOT_NS, samples[piece.size :]))
                break
        self.counts.silent_samples += max(0, CHUNK_SAMPLES - filled)
        return slot

    def _due_frame(self, now_ns: int) -> Frame | None:
        """The newest frame that is due; those before it are dropped."""
        due = len(self._frames)
        if not self._hurry:
            due = sum(frame.media_time_ns + self.delay_ns <= now_ns for frame in self._frames)
        if due == 0:
            return None
        frame = self._frames[due - 1]
        del self._frames[:due]
        self.counts.skipped += due - 1
        late_ns = now_ns - frame.media_time_ns - self.delay_ns
        starved = self._last_shown_ns is None or now_ns - self._last_shown_ns > STARVED_NS
        if late_ns >= FRAME_NS:
            self.counts.late += 1
            if not starved:
                return None
        self.counts.shown += 1
        self.counts.skew_ms = (max(0, late_ns) - self._sound_late_ns) / 1e6
        self._last_frame_ns, self._last_shown_ns = frame.media_time_ns, now_ns
        if self._hurry and frame.media_time_ns >= self._fresh_from_ns + self.delay_ns:
            self._hurry = False
        return frame


def _is_loud(samples: np.ndarray) -> bool:
    return bool(samples.size) and int(np.abs(samples.astype(np.int32)).max()) > LOUD
