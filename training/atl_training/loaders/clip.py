"""One clip of a data set as a `Sample`, or a refusal: a UserError whose code is the reason."""
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import av
import numpy as np

from atl_face.align import CropTransform
from atl_face.detect import FaceTracker, find_face
from atl_face.errors import UserError
from atl_face.media import read_audio
from atl_face.stream import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE
from atl_face.topology import lip_gap
from atl_training.loaders.layouts import Source, Words
from atl_training.shards import Sample, encode_sound, encode_video
from atl_training.splits import held_out

WIDER = 1.25
"""The stored square over the renderer's crop. Training cuts that crop anew around the face of single frames, so the stored
picture must reach further: by 0.33 eye distances (3 cm) on each side."""
STORED_PX = 320  # px, the side of the stored square: 256, the renderer's picture, times WIDER
JITTER_S = 0.004  # s; a tenth of a frame. Containers round times to a millisecond, QuickTime to 1/600 s: that is no jitter
LENGTH_TOLERANCE_S = 0.2  # codecs pad a frame or two; what differs more has lost picture or sound
MIN_FRAME_RATE = 23.5  # Hz; film's 24 repeats one frame a second, a slower camera would teach lips that halt
MIN_FRAMES = 12  # half a second: no word is shorter
BORDER = 0.01  # of the shorter side; a landmark closer to the edge than that belongs to a face that is cut
FACE_CHECK_EVERY = 12  # frames; other faces are looked for twice a second: in all frames it would take thrice the tracking
SILENT = 1e-4  # largest sample; below 16 bits' last three steps nothing was recorded
WORD_MARGIN_S = 0.06  # the mouth moves so long before and after a word's sound


def make_sample(source: Source, split_by: str = "speaker") -> Sample:
    """A clip at 25 frames/s and 16 kHz: one square around the face, its landmarks, sound and facts.

    Args:
        split_by: "speaker" holds out a tenth of the speakers, "clip" a tenth of the clips: for data of one speaker.

    Raises:
        UserError: it can't be used; the code says why in a word.
    """
    picture = Picture.probe(source.video)
    sound = _sound(source, picture)
    count = _frames_in_common(picture.seconds, len(sound) / SAMPLE_RATE)
    landmarks = track(picture.frames(count), count)
    crop = stored_crop(landmarks)
    stored = (crop.to_crop(landmarks) * STORED_PX).astype(np.float32)
    arrays = {"landmarks": stored, "lip_gap": lip_gap(stored).astype(np.float32)}
    if source.words is not None:
        arrays["speaking"] = speaking(source.words, count)
    facts = {
        "split": "val" if held_out(_split_key(source, split_by)) else "train", "split_by": split_by, "kind": "recorded",
        "dataset": source.dataset, "source": source.file, "speaker": source.speaker, "emotion": source.emotion,
        "level": source.level, "text": source.text, "frames": count, "size": STORED_PX,
        "fps_source": round(1 / picture.period, 3), "crop": (crop.matrix * STORED_PX).tolist(),
        "licences": [source.licence],
    }  # fmt: skip
    video = encode_video((crop.extract(frame, STORED_PX) for frame in picture.frames(count)), STORED_PX)
    return Sample(source.key, facts, arrays, encode_sound(sound[:count * FRAME_SAMPLES]), video)


def _split_key(source: Source, split_by: str) -> str:
    """The clip's key is its bare name: the data of one speaker, GRID s1, were always split by it."""
    return source.video.stem if split_by == "clip" else f"{source.dataset}/{source.speaker}"


@dataclass(frozen=True)
class Picture:
    """A video of constant frame rate.

    Attributes:
        decoded: frames in the file. period: s between two of them.
        sound_lag: s by which the file's own sound begins after its first frame; negative before it.
    """

    path: Path
    decoded: int
    period: float
    sound_lag: float

    @property
    def seconds(self) -> float:
        """Length in s."""
        return self.decoded * self.period

    @classmethod
    def probe(cls, path: Path) -> "Picture":
        """Decode a video once, to see that it is whole and steady.

        Raises:
            UserError: `unreadable`, `no_video`, `damaged`, `too_short`, `variable_rate` or `low_rate`.
        """
        with _opened(path) as container:
            stream, sound = container.streams.video[0], next(iter(container.streams.audio), None)
            seen = [(frame.time, frame.is_corrupt) for frame in container.decode(stream)]
            announced = float(stream.duration * stream.time_base if stream.duration else (container.duration or 0) / av.time_base)
            sound_start = sound.start_time * sound.time_base if sound and sound.start_time is not None else None
        times = np.array([time for time, _ in seen], float)  # a frame without a time gives nan
        if damaged := sum(corrupt for _, corrupt in seen):
            raise UserError(f"Damaged frames: {damaged} of {len(seen)}.", "damaged")
        period = _period(times)
        if period * len(times) < announced - LENGTH_TOLERANCE_S:
            raise UserError(f"It ends after {period * len(times):.2f} of {announced:.2f} s.", "damaged")
        return cls(path, len(times), period, 0.0 if sound_start is None else float(sound_start) - times[0])

    def frames(self, count: int) -> Iterator[np.ndarray]:
        """Upright RGB frames (H, W, 3) uint8 for the times 0, 40, 80 ms ...: of each time the nearest in the file."""
        nearest = np.rint(np.arange(count) / (FRAME_RATE * self.period)).astype(int)
        uses = np.bincount(np.minimum(nearest, self.decoded - 1), minlength=self.decoded)
        with _opened(self.path) as container:
            for frame, times in zip(container.decode(video=0), uses, strict=True):
                if times:
                    upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)  # phones store it lying
                    yield from repeat(np.ascontiguousarray(upright), times)


def _period(times: np.ndarray) -> float:
    """The s between two frames of constant rate. Raises UserError `too_short`, `variable_rate` or `low_rate`."""
    if len(times) < MIN_FRAMES:
        raise UserError(f"It has only {len(times)} frames.", "too_short")
    if np.isnan(times).any():
        raise UserError("Its frames carry no times.", "variable_rate")
    period = float(times[-1] - times[0]) / (len(times) - 1)
    jitter = np.abs(times - times[0] - period * np.arange(len(times))).max()
    if jitter > JITTER_S:
        raise UserError(f"Its frame rate varies: a frame is {jitter * 1000:.0f} ms off.", "variable_rate")
    if period * MIN_FRAME_RATE > 1:
        raise UserError(f"It has only {1 / period:.1f} frames a second.", "low_rate")
    return period


@contextlib.contextmanager
def _opened(path: Path):
    """An opened video file with a picture track; what can't be decoded is told as UserError."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError("It has no picture.", "no_video")
            container.streams.video[0].codec_context.thread_count = 1  # the workers share the cores
            yield container
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f"It can't be decoded ({getattr(error, 'strerror', None) or error}).", "unreadable") from error


def _sound(source: Source, picture: Picture) -> np.ndarray:
    """(n,) float32 16 kHz, from the time of the first frame on. A sound file of its own begins there."""
    sound = read_audio(source.sound or source.video)
    if np.abs(sound).max() < SILENT:
        raise UserError("Its sound is silence.", "no_sound")
    lag = 0 if source.sound else round(picture.sound_lag * SAMPLE_RATE)
    return np.pad(sound, (lag, 0)) if lag > 0 else sound[-lag:]


def _frames_in_common(picture_s: float, sound_s: float) -> int:
    """How many 25 Hz frames have picture and sound. Raises UserError `length_mismatch` or `too_short`."""
    if abs(picture_s - sound_s) > LENGTH_TOLERANCE_S:
        raise UserError(f"It has {picture_s:.2f} s of picture and {sound_s:.2f} s of sound.", "length_mismatch")
    count = int(min(picture_s, sound_s) * FRAME_RATE + 1e-6)  # 3 s of 1/25 s are 75 frames, whatever the last bit says
    if count < MIN_FRAMES:
        raise UserError(f"It is only {count / FRAME_RATE:.2f} s long.", "too_short")
    return count


def track(frames: Iterable[np.ndarray], count: int) -> np.ndarray:
    """Landmarks (count, 68, 3) px of the only face in RGB frames (H, W, 3) uint8.

    Raises:
        UserError: `no_face` in some frames, `leaves_frame`, `several_faces` or `too_small`.
    """
    tracker, tracked = FaceTracker(), []
    try:
        for number, frame in enumerate(frames):
            points = tracker(frame)
            if points is not None:
                _require_inside(points, frame, number)
                if number % FACE_CHECK_EVERY == 0 or number == count - 1:
                    find_face(frame)
                tracked.append(points)
    finally:
        tracker.close()
    if lost := count - len(tracked):
        raise UserError(f"No face in {lost} of {count} frames.", "no_face")
    return np.stack(tracked)


def _require_inside(points: np.ndarray, frame: np.ndarray, number: int) -> None:
    size = np.array(frame.shape[1::-1])
    margin = BORDER * size.min()
    if (points[:, :2] < margin).any() or (points[:, :2] > size - margin).any():
        raise UserError(f"The face reaches the edge of the picture at {number / FRAME_RATE:.2f} s.", "leaves_frame")


def stored_crop(landmarks: np.ndarray) -> CropTransform:
    """The one square of a clip: the crop of its median landmarks, WIDER about its centre."""
    matrix = CropTransform.from_landmarks(np.median(landmarks, axis=0)).matrix / WIDER
    matrix[:, 2] += 0.5 - 0.5 / WIDER
    return CropTransform(matrix)


def speaking(words: Words, count: int) -> np.ndarray:
    """Whether somebody speaks in each of `count` frames, bool (count,)."""
    times = (np.arange(count) + 0.5) / FRAME_RATE
    spoken = [(times >= start - WORD_MARGIN_S) & (times < end + WORD_MARGIN_S) for start, end in words]
    return np.any([np.zeros(count, bool), *spoken], axis=0)
