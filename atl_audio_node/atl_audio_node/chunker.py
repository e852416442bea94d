"""Any rate, any channels, blocks of any length -> chunks of exactly 20 ms of 16 kHz mono sound."""

import numpy as np
import soxr

from atl_face.pcm import to_float
from atl_face.stream import CHUNK_SAMPLES, SAMPLE_RATE

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4_000, 192_000  # half a telephone's, and a studio's: what is beyond is a mistake


def rate_problem(what: str, rate_hz: int) -> str:
    """A sentence where `what` has a rate that can't be sound's, "" where all is well."""
    if LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        return ""
    return f"{what} sample_rate {rate_hz}: give the rate in Hz, from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}."


def to_mono(block: np.ndarray) -> np.ndarray:
    """PCM of shape (n,) or (n, channels), float in [-1, 1] or int16, as mono float32 (n,)."""
    if block.dtype == np.int16:
        block = to_float(block)
    block = block.astype(np.float32, copy=False)
    return block if block.ndim == 1 else block.mean(axis=1)


class Chunker:
    """A streaming resampler that hands out whole chunks; what it has given is what soxr gives for the whole
    sound at once.

    Args:
        rate_hz: rate of what is pushed.
        quality: soxr's name; "HQ" (default) holds back 17 ms at 48 kHz, 21 ms at 44.1 kHz (measured).
    """

    def __init__(self, rate_hz: int, quality: str = "HQ"):
        if rate_hz <= 0:
            raise ValueError(f"a sample rate must be positive, not {rate_hz}")
        self.rate_hz = rate_hz
        same = rate_hz == SAMPLE_RATE
        self._resampler = None if same else soxr.ResampleStream(rate_hz, SAMPLE_RATE, 1, "float32", quality)
        self._rest = np.zeros(0, np.float32)
        self.first_sample = 0  # 16 kHz samples handed out so far

    def push(self, block: np.ndarray) -> list[np.ndarray]:
        """Add PCM (n,) or (n, channels); returns the chunks (320,) float32 that became whole."""
        return self._cut(to_mono(block), last=False)

    def flush(self) -> list[np.ndarray]:
        """End of the sound: the chunks that were held back, the last one padded with silence. Starts anew."""
        chunks = self._cut(np.zeros(0, np.float32), last=True)
        if self._rest.size:
            chunks.append(np.pad(self._rest, (0, CHUNK_SAMPLES - self._rest.size)))
            self.first_sample += CHUNK_SAMPLES
            self._rest = np.zeros(0, np.float32)
        if self._resampler is not None:
            self._resampler.clear()
        return chunks

    def _cut(self, mono: np.ndarray, last: bool) -> list[np.ndarray]:
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        self._rest = np.concatenate([self._rest, mono])
        whole = self._rest.size // CHUNK_SAMPLES
        chunks = list(self._rest[: whole * CHUNK_SAMPLES].reshape(whole, CHUNK_SAMPLES))
        self._rest = self._rest[whole * CHUNK_SAMPLES :]
        self.first_sample += whole * CHUNK_SAMPLES
        return chunks
