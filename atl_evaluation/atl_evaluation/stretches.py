"""A rerun cut into stretches: consecutive frames of one stream and one portrait, few enough to lie in memory."""
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from atl_diffusion_node.portrait import Portrait
from atl_evaluation.events import Sound
from atl_evaluation.rerun import Frame
from atl_face.stream import FRAME_SAMPLES

STRETCH_FRAMES = 250  # 10 s: 200 MB of frames at 512 px, and enough windows for the sync expert


@dataclass
class Stretch:
    """Consecutive frames of one stream and portrait, and the sound from the first one on."""

    portrait: Portrait
    sound: np.ndarray
    frames: list[Frame]

    @property
    def stream_id(self) -> int:
        return self.frames[0].stream_id

    @property
    def pictures(self) -> np.ndarray:
        return np.stack([frame.picture for frame in self.frames])

    @property
    def driven(self) -> np.ndarray:
        """The landmarks (T, 68, 3) that drove them, px."""
        return np.stack([self.portrait.transform.to_portrait(frame.landmarks.points) for frame in self.frames])


def cut(frames: Iterable[Frame], portraits: Mapping[str, Portrait], sounds: Mapping[int, Sound]) -> Iterator[Stretch]:
    """The frames that were drawn, cut where a stream or a portrait ends, and after STRETCH_FRAMES.

    Args:
        portraits: by id. sounds: by stream; a stream without any gives stretches without sound.
    """
    held: list[Frame] = []
    for frame in frames:
        if frame.picture is None:
            continue
        if held and (len(held) == STRETCH_FRAMES or not _follows(held[-1], frame)):
            yield _stretch(held, portraits, sounds)
            held = []
        held.append(frame)
    if held:
        yield _stretch(held, portraits, sounds)


def _follows(last: Frame, frame: Frame) -> bool:
    return (last.stream_id, last.portrait_id, last.index + 1) == (frame.stream_id, frame.portrait_id, frame.index)


def _stretch(frames: list[Frame], portraits: Mapping[str, Portrait], sounds: Mapping[int, Sound]) -> Stretch:
    heard = sounds.get(frames[0].stream_id)
    sound = np.zeros(0, np.float32)
    if heard is not None:
        start = frames[0].index * FRAME_SAMPLES - heard.first_sample
        sound = np.pad(heard.samples[max(0, start):][: len(frames) * FRAME_SAMPLES], (max(0, -start), 0))
    return Stretch(portraits[frames[0].portrait_id], sound, frames)
