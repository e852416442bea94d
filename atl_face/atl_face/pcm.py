"""Sound as 16-bit samples (PCM) and back."""
import numpy as np


def to_int16(samples: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] as int16, clipped."""
    return np.clip(np.rint(samples * 32767.0), -32768, 32767).astype(np.int16)


def to_float(samples: np.ndarray) -> np.ndarray:
    """int16 as float32 in [-1, 1)."""
    return samples.astype(np.float32) / 32768
