"""A reference video: how what is said in a bag truly looked."""
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from atl_evaluation.judge import Truth
from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.files import existing_file
from atl_face.stream import FRAME_RATE

RATE_TOLERANCE = 0.02  # frames a second


@dataclass(frozen=True)
class Reference:
    """A video's path; its frames (N, H, W, 3) uint8 and their landmarks (N, 68, 3) px, NaN where no face is seen."""

    path: Path
    truth: Truth

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """A video of 25 frames a second that begins with the first stream's sound.

        Raises:
            UserError: it can't be read, has another frame rate, or shows no face.
        """
        path = existing_file(path, "reference video")
        try:
            with av.open(str(path)) as container:
                stream = next(iter(container.streams.video), None)
                if stream is None:
                    raise UserError(f"{path} has no picture; give a video as reference.", "no_video")
                rate = float(stream.average_rate or 0)
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        except (av.FFmpegError, OSError) as error:
            raise UserError(f"The reference video {path} can't be decoded ({error}).", "unreadable") from error
        if abs(rate - FRAME_RATE) > RATE_TOLERANCE:
            raise UserError(f"The reference video {path} has {rate:.2f} frames a second and must have {FRAME_RATE}: convert it "
                            f"with `ffmpeg -i {path.name} -r {FRAME_RATE} reference.mp4`.", "frame_rate")  # fmt: skip
        landmarks = track(frames)
        if not np.isfinite(landmarks).any():
            raise UserError(f"No face is seen in the reference video {path}.", "no_face")
        return cls(path, Truth(np.stack(frames), landmarks))

    def at(self, indices: list[int]) -> Truth:
        """The frames of these ascending indices, as far as the video goes."""
        there = [index for index in indices if index < len(self.truth.frames)]
        return Truth(self.truth.frames[there], self.truth.landmarks[there])
