"""The messages of the face's topics as plain Python, free of ROS: what bags hold and what the cores are driven with."""
from dataclasses import dataclass

import numpy as np

from atl_diffusion_node.portrait import Portrait
from atl_face.stream import SAMPLE_RATE
from atl_landmark_node.stream import LandmarkFrame


@dataclass(frozen=True, eq=False)
class Event:
    """A message: when it was logged, and its header's stamp (the log time where it has no header), ns."""

    log_ns: int
    stamp_ns: int


@dataclass(frozen=True, eq=False)
class Chunk(Event):
    """`audio`: samples (n,) int16 of a stream from `first_sample` on; the stamp is the media time of the first one."""

    stream_id: int
    first_sample: int
    sample_rate: int
    samples: np.ndarray

    @property
    def start_ns(self) -> int:
        """Media time of the stream's first sample."""
        return self.stamp_ns - self.first_sample * 1_000_000_000 // SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class End(Event):
    """`audio_end`: the stream is complete after so many samples."""

    stream_id: int
    samples: int


@dataclass(frozen=True, eq=False)
class Shown(Event):
    """`portrait`: this one came into force at the stamp."""

    portrait: Portrait


@dataclass(frozen=True, eq=False)
class Asked(Event):
    """`expression`: the message's fields as they are."""

    label: str
    intensity: float
    level: int
    style: float
    gaze_yaw: float
    gaze_pitch: float


@dataclass(frozen=True, eq=False)
class Marks(Event):
    """`landmarks`: a frame of the stream, made for a portrait; the stamp is its media time, the numbers are float32."""

    stream_id: int
    portrait_id: str
    frame: LandmarkFrame
    expression: Asked


@dataclass(frozen=True, eq=False)
class Sound:
    """One stream's sound.

    Attributes:
        start_ns: media time of the stream's sample 0.
        first_sample: index of samples[0] in its stream.
        samples: (n,) float32 in [-1, 1] at 16 kHz; what was lost is silence.
        lost: how many samples that was.
        ended: whether `audio_end` said that the stream is complete.
    """

    stream_id: int
    start_ns: int
    first_sample: int
    samples: np.ndarray
    lost: int
    ended: bool
