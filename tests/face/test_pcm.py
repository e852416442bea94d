"""Sound as 16-bit samples."""

import numpy as np

from atl_face.pcm import to_float, to_int16


def test_what_is_too_loud_is_clipped_and_does_not_wrap_around():
    assert to_int16(np.float32([-2.0, -1.0, 0.0, 1.0, 2.0])).tolist() == [-32768, -32767, 0, 32767, 32767]


def test_there_and_back_a_sample_is_off_by_less_than_two_steps():
    samples = np.linspace(-1, 1, 4001, dtype=np.float32)
    again = to_float(to_int16(samples))
    assert again.dtype == np.float32 and np.abs(again - samples).max() < 2 / 32768
