"""Log-mel features, computed as the sound comes: streaming and whole-file give the same numbers."""
import numpy as np

from atl_face.stream import SAMPLE_RATE

WINDOW = 400  # samples: 25 ms, the usual compromise between pitch periods and articulation
HOP = 160  # samples: 10 ms; four hops are one landmark frame
FFT = 512
MELS = 64
LOW_HZ, HIGH_HZ = 60.0, 7600.0  # below: hum and handling noise; above: what telephones and 16 kHz codecs lose
FLOOR = 1e-7  # power; -70 dBFS in a band counts as silence
OFFSET, SCALE = 4.5, 2.0  # log10 power to about [-1, 1] over speech at ordinary levels
BLOCK = 1000  # frames computed at once: memory stays flat however long a sound is
SILENCE = float((np.log10(FLOOR) + OFFSET) / SCALE)  # a feature of digital silence


def mel_filters() -> np.ndarray:
    """Triangular filters, (FFT // 2 + 1, MELS) float32; O'Shaughnessy's mel scale, 2595 log10(1 + f / 700)."""

    def to_mel(hz):
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    edges = 700 * (10 ** (np.linspace(to_mel(LOW_HZ), to_mel(HIGH_HZ), MELS + 2) / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


_FILTERS = mel_filters()
_HANN = np.hanning(WINDOW).astype(np.float32)


class LogMel:
    """Streaming log-mel: frame j covers the 25 ms that end with sample 160 (j + 1); before the start lies silence."""

    def __init__(self):
        self._tail = np.zeros(WINDOW - HOP, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The frames that `samples` (n,) float32 at 16 kHz complete, (m, MELS) float32."""
        sound = np.concatenate([self._tail, np.asarray(samples, np.float32)])
        count = max(0, (len(sound) - WINDOW) // HOP + 1)
        self._tail = sound[count * HOP:]
        if not count:
            return np.zeros((0, MELS), np.float32)
        blocks = [_log_mel(sound, range(first, min(first + BLOCK, count))) for first in range(0, count, BLOCK)]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _log_mel(sound: np.ndarray, frames: range) -> np.ndarray:
    """Some frames of a sound, each computed by itself: the same numbers whatever is computed beside it."""
    windows = sound[HOP * np.asarray(frames)[:, None] + np.arange(WINDOW)]
    spectrum = np.fft.rfft(windows * _HANN, FFT, axis=1)
    power = ((spectrum.real**2 + spectrum.imag**2) / (_HANN**2).sum()).astype(np.float32)
    bands = (power[:, None] @ _FILTERS)[:, 0]  # row by row: a BLAS adds up otherwise for one row than for many
    return ((np.log10(bands + FLOOR) + OFFSET) / SCALE).astype(np.float32)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """All frames of a whole sound, (n // HOP, MELS)."""
    return LogMel().push(samples)
