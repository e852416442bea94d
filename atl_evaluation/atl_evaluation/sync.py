"""Do the lips fit the sound? A small two-tower network that was trained on what fits and what doesn't (data/README.md).

The protocol is SyncNet's (Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016): every 0.2 s of a mouth is
laid beside 0.2 s of sound, at offsets of up to 15 frames either way; distances are averaged over the clip. The network is our
own, so the figures read like LSE-D and LSE-C, but can't be compared with published ones: only rows of one table, judged by
this expert, are.
"""
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from atl_face.align import MOUTH_SCALE, CropTransform
from atl_face.errors import UserError
from atl_face.inference import compile_on_cpu
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import OUTER_LIPS, eye_distance
from atl_landmark_node.features import log_mel

WINDOW = 5  # frames of a window, SyncNet's 0.2 s
MAX_OFFSET = 15  # frames either way, SyncNet's too
MIN_FRAMES = WINDOW + 2 * MAX_OFFSET  # below: less than 16 windows are left at the largest offsets, and they decide little
MEL_PER_FRAME = 4
SIZE = 48  # px of a crop's side
SIDE = 0.94  # of a crop, in eye distances (85 mm): nostrils to chin, a mouth wide open or smiling, no collar
CANTHI = (36, 39, 42, 45)  # corners of the eyes: no blink and no word moves them
STEADY_FRAMES = 2.0  # sigma: a tracker trembles from frame to frame, a head doesn't
MIN_SEEN = 0.5  # of the frames must show a face; gaps between are bridged
FLAT = 4.0  # grey levels beside a clip's deviation: what is evenly dark stays flat
SILENT = 1e-3  # of full scale, -60 dBFS: the noise of a quiet room; sound that is nowhere louder says nothing
CHUNK = 250  # windows computed at once: memory stays flat however long a clip is


@dataclass(frozen=True)
class SyncScore:
    """How a clip's lips fit its sound.

    Attributes:
        confidence: median minus least of the mean distances over all offsets, like LSE-C: higher is better, 0 is no relation.
        distance: the least of them, like LSE-D: lower is better; embeddings have length 1, so it lies in [0, 2].
        offset: frames at which it is found; + is a late picture (or early sound), as in SyncNet's own code.
        distances: (31,) mean distance at offsets -15 .. +15.
    """

    confidence: float
    distance: float
    offset: int
    distances: np.ndarray


def score_of(distances: np.ndarray) -> SyncScore:
    """The score of mean distances (2 MAX_OFFSET + 1,) at offsets -MAX_OFFSET .. +MAX_OFFSET."""
    least = int(np.argmin(distances))
    return SyncScore(float(np.median(distances) - distances[least]), float(distances[least]), least - MAX_OFFSET, distances)


def mouth_crops(frames, landmarks: np.ndarray, size: int = SIZE, side: float = SIDE) -> np.ndarray:
    """Grey crops around the mouth of a clip, (T, size, size) uint8.

    The box is level with the eyes and of one size: `side` times the clip's median of the larger of eye distance and
    MOUTH_SCALE times eyes-to-mouth. Its centre keeps the clip's median place relative to the eyes, so jaw and lips move
    inside it; the eyes' middle and their angle are smoothed over time (sigma STEADY_FRAMES).

    Args:
        frames: T RGB pictures (H, W, 3) uint8.
        landmarks: (T, 68, 2|3) px; NaN where no face was seen: those frames take the box of their neighbours.

    Raises:
        UserError: a face was seen in less than half of the frames (`no_face`).
    """
    xy = _bridged(np.asarray(landmarks, np.float64)[: len(frames), :, :2])
    corners = xy[:, CANTHI]
    across = corners[:, 2:].mean(1) - corners[:, :2].mean(1)
    eyes = gaussian_filter1d(corners.mean(1), STEADY_FRAMES, axis=0, mode="nearest")
    across = gaussian_filter1d(across, STEADY_FRAMES, axis=0, mode="nearest")
    x, y = (across / np.linalg.norm(across, axis=1, keepdims=True)).T
    level = np.stack([np.stack([x, y], -1), np.stack([-y, x], -1)], axis=1)  # (T, 2, 2): picture to level axes
    mouth = np.median(np.einsum("tij,tj->ti", level, xy[:, OUTER_LIPS].mean(1) - eyes), axis=0)
    scale = side * float(np.median(np.maximum(eye_distance(xy), MOUTH_SCALE * np.linalg.norm(mouth))))
    crops = []
    for frame, turn, middle in zip(frames, level, eyes, strict=True):
        turn = turn / scale
        centre = turn @ middle + mouth / scale
        crop = CropTransform(np.hstack([turn, (0.5 - centre)[:, None]]))
        crops.append(crop.extract(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size))
    return np.stack(crops)


def _bridged(xy: np.ndarray) -> np.ndarray:
    """Landmarks (T, 68, 2) with the frames that have none interpolated."""
    seen = np.flatnonzero(np.isfinite(xy).all((1, 2)))
    if len(seen) < max(1, MIN_SEEN * len(xy)):
        raise UserError(f"A face is seen in only {len(seen)} of {len(xy)} frames, too few to judge its lips; look at the clip.",
                        "no_face")  # fmt: skip
    flat = xy.reshape(len(xy), -1)
    every = np.arange(len(xy))
    return np.stack([np.interp(every, seen, column[seen]) for column in flat.T], axis=1).reshape(xy.shape)


def is_silent(sound: np.ndarray) -> bool:
    """Whether a sound (n,) in [-1, 1] is empty or nowhere louder than SILENT: no lips can fit it or not."""
    return not len(sound) or float(np.abs(sound).max()) <= SILENT


def picture_input(crops: np.ndarray) -> np.ndarray:
    """Crops (T, SIZE, SIZE) uint8 as the network takes them, float32: the clip's mean 0 and deviation 1, in any light."""
    grey = crops.astype(np.float32)
    return (grey - grey.mean()) / (grey.std() + FLAT)


def sound_input(sound: np.ndarray, frames: int) -> np.ndarray:
    """Features (MEL_PER_FRAME * frames, 64) of sound (n,) in [-1, 1], 16 kHz; silence where it is too short."""
    need = frames * FRAME_SAMPLES
    return log_mel(np.pad(sound[:need], (0, max(0, need - len(sound)))))


class SyncExpert:
    """The trained network on one CPU thread, in float32: the same clip gives the same score.

    Args:
        path: another network than the shipped (.onnx).
    """

    def __init__(self, path: Path | None = None):
        path = path or Path(str(resources.files(__package__) / "data" / "sync_expert.onnx"))
        self._net = compile_on_cpu(path).create_infer_request()

    def score(self, frames, landmarks: np.ndarray, sound: np.ndarray) -> SyncScore:
        """How the lips in frames fit their sound.

        Args:
            frames: T RGB pictures (H, W, 3) uint8 at FRAME_RATE.
            landmarks: (T, 68, 2|3) px in them, NaN where no face was seen (`atl_face.detect.FaceTracker`).
            sound: (n,) in [-1, 1], 16 kHz, from the first frame's begin; silence is added where it is too short.

        Raises:
            UserError: fewer than MIN_FRAMES frames (`too_short`), or a face in less than half of them (`no_face`).
        """
        return self.score_crops(mouth_crops(frames, landmarks), sound)

    def score_crops(self, crops: np.ndarray, sound: np.ndarray) -> SyncScore:
        """The same for crops (T, SIZE, SIZE) that `mouth_crops` cut."""
        if len(crops) < MIN_FRAMES:
            raise UserError(f"The clip has {len(crops)} frames; its synchronisation needs {MIN_FRAMES} at least.", "too_short")
        return score_of(mean_distances(*self.embed(crops, sound)))

    def embed(self, crops: np.ndarray, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (T - WINDOW + 1, n) of every window of the crops and of the sound, each of length 1."""
        pictures, features = picture_input(crops), sound_input(sound, len(crops))
        parts = []
        for start in range(0, len(crops) - WINDOW + 1, CHUNK):
            end = start + CHUNK + WINDOW - 1
            result = self._net.infer([pictures[None, start:end], features[None, MEL_PER_FRAME * start: MEL_PER_FRAME * end]])
            parts.append([np.array(result[i])[0] for i in range(2)])
        seen, heard = zip(*parts, strict=True)
        return np.concatenate(seen), np.concatenate(heard)


def mean_distances(seen: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Mean distance (2 MAX_OFFSET + 1,) of picture windows (N, n) to the sound windows that they would belong to, were the
    picture late by -MAX_OFFSET .. +MAX_OFFSET frames; over the windows that have a partner."""
    count = len(seen)
    means = []
    for late in range(-MAX_OFFSET, MAX_OFFSET + 1):
        pictures, sounds = seen[max(late, 0): count + min(late, 0)], heard[max(-late, 0): count - max(late, 0)]
        means.append(np.linalg.norm(pictures - sounds, axis=1).mean())
    return np.array(means)
