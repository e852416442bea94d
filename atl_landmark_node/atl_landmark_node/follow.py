"""Follow a stream of chunks: new streams, gaps, chunks that come twice, and joining in the middle."""

from collections.abc import Iterator

import numpy as np

from atl_face.stream import FRAME_SAMPLES, SAMPLE_RATE
from atl_landmark_node.stream import LandmarkFrame, LandmarkStream

LONGEST_BRIDGE = 2 * SAMPLE_RATE  # a longer gap is not bridged with silence but joined anew: no burst of late frames


class ChunkFollower:
    """Feeds a `LandmarkStream` from chunks as they arrive, however they arrive.

    Attributes:
        stream_id: the stream being followed, or None before the first chunk.
        lost_samples: samples that were missing between chunks so far.
    """

    def __init__(self, stream: LandmarkStream):
        self.stream = stream
        self.stream_id: int | None = None
        self.lost_samples = 0
        self._expected = 0
        self._total: int | None = None  # of a stream whose end was told before its last sound came

    def push(self, stream_id: int, first_sample: int, samples: np.ndarray) -> Iterator[LandmarkFrame]:
        """Frames that a chunk of 16 kHz float32 samples completes; `first_sample` is its place in its stream."""
        again = first_sample + len(samples) < self._expected - LONGEST_BRIDGE  # `ros2 bag play --loop`: the same once more
        if stream_id != self.stream_id or again:
            self.stream_id, self._total = stream_id, None
            self._join(first_sample)
        missing = first_sample - self._expected
        if missing < 0:  # seen already, or before the frame that we joined at
            samples, missing = samples[-missing:], 0
        if missing > LONGEST_BRIDGE:
            self.lost_samples += missing
            self._join(first_sample)
            samples, missing = samples[self._expected - first_sample:], 0
        if not len(samples):
            return
        self._expected += missing + len(samples)
        if missing:
            self.lost_samples += missing
            yield from self.stream.skip(missing)
        yield from self.stream.push(samples)
        if self._total is not None and self._expected >= self._total:
            yield from self.end(stream_id, self._total)

    def end(self, stream_id: int, total_samples: int) -> Iterator[LandmarkFrame]:
        """The last frames of a stream that is complete; if sound of it is still on its way, they come with that."""
        if stream_id != self.stream_id:
            return
        self._total = total_samples if self._expected < total_samples else None
        if self._total is None:
            yield from self.stream.finish(total_samples)

    def _join(self, first_sample: int) -> None:
        """Begin at the first whole frame from `first_sample` on."""
        frame = -(-first_sample // FRAME_SAMPLES)
        self._expected = frame * FRAME_SAMPLES
        self.stream.restart(frame)
