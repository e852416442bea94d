"""Where a chunk of sound lies in media time: by its stamp at first, by its sample counter from then on."""

from dataclasses import dataclass

from atl_face.stream import SAMPLE_RATE

SAMPLE_NS = 1_000_000_000 // SAMPLE_RATE  # 62,500 ns, exact at 16 kHz
MAX_WANDER_NS = 40_000_000  # stamps that jitter less than one frame don't tear the sound


@dataclass
class MediaClock:
    """Media time of a stream's samples, continuous as long as stamps and counter agree."""

    origin_ns: int | None = None  # media time of the stream's sample 0

    def place(self, first_sample: int, media_time_ns: int) -> int:
        """Media time in ns at which a chunk begins."""
        expected_ns = media_time_ns if self.origin_ns is None else self.origin_ns + first_sample * SAMPLE_NS
        if self.origin_ns is None or abs(media_time_ns - expected_ns) > MAX_WANDER_NS:
            self.origin_ns = media_time_ns - first_sample * SAMPLE_NS
        return self.origin_ns + first_sample * SAMPLE_NS
