"""Number fields of messages to numpy and back, without a look at every element (rclpy's setters take `array` as it is)."""

import array

import numpy as np


def to_array(values: np.ndarray) -> array.array:
    """A field's value of the same type and order: int16 for AudioChunk.samples, uint8 for Image.data, float32."""
    out = array.array(values.dtype.char)
    out.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return out


def samples_of(field) -> np.ndarray:
    """The int16 samples (n,) of a message's field, as a view."""
    return np.frombuffer(field, np.int16)
