"""A sound file as a source: decoded whole at the start, so that nothing can go wrong later."""

from pathlib import Path

import numpy as np

from atl_face.media import read_audio
from atl_face.stream import CHUNK_SAMPLES


class FileSource:
    """Gives the chunks of a file in order, once or for ever.

    Args:
        path: anything that soundfile or PyAV opens.
        loop: begin again at the end, without a hole between the last sample and the first.

    Raises:
        UserError: the file is missing, unreadable or holds no sound.
    """

    live, backlog_limit, problem, lost, queued_s = False, None, "", 0, 0.0

    def __init__(self, path: str | Path, loop: bool):
        self._samples, self._loop, self._position = read_audio(path), loop, 0

    def read(self) -> np.ndarray | None:
        size = self._samples.size
        if self._loop and not self.ended:
            chunk = self._samples.take(range(self._position, self._position + CHUNK_SAMPLES), mode="wrap")
            self._position = (self._position + CHUNK_SAMPLES) % size
            return chunk
        if self.ended:
            return None
        chunk = self._samples[self._position : self._position + CHUNK_SAMPLES]
        self._position += CHUNK_SAMPLES
        return np.pad(chunk, (0, CHUNK_SAMPLES - chunk.size))

    def catch_up(self) -> None:
        """A file waits: nothing of it is thrown away."""

    def service(self, now_ns: int) -> None:
        """A file has nothing to look after."""

    def interrupt(self) -> None:
        self._loop, self._position = False, max(self._position, self._samples.size)

    @property
    def ended(self) -> bool:
        return not self._loop and self._position >= self._samples.size

    @property
    def padding(self) -> int:
        return max(0, self._position - self._samples.size) if self.ended else 0

    def close(self) -> None:
        self.interrupt()
