"""The streaming chunker against soxr's offline resampling."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_audio_node.chunker import Chunker, to_mono


def blocks_of(sound, sizes):
    start = 0
    while start < len(sound):
        size = next(sizes)
        yield sound[start : start + size]
        start += size


@settings(max_examples=30, deadline=None)
@given(
    rate_hz=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000]),
    length=st.integers(1, 20000),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_blocks_of_any_length_give_what_soxr_gives_at_once(rate_hz, length, sizes, seed):
    sound = np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)
    chunker = Chunker(rate_hz)
    endless = (size for _ in iter(int, 1) for size in sizes)
    chunks = [chunk for block in blocks_of(sound, endless) for chunk in chunker.push(block)] + chunker.flush()
    assert all(chunk.shape == (320,) and chunk.dtype == np.float32 for chunk in chunks)
    whole = sound if rate_hz == 16000 else soxr.resample(sound, rate_hz, 16000)
    got = np.concatenate([*chunks, np.zeros(0, np.float32)])
    assert chunker.first_sample == got.size >= whole.size > got.size - 320 - 1
    np.testing.assert_allclose(got[: whole.size], whole, atol=1e-5)
    assert not got[whole.size :].any()


def test_flush_starts_a_new_sound():
    chunker = Chunker(48000)
    tone = np.sin(np.arange(9600) * 0.05).astype(np.float32)
    first = np.concatenate(chunker.push(tone) + chunker.flush())
    again = np.concatenate(chunker.push(tone) + chunker.flush())
    np.testing.assert_array_equal(first, again)


def test_to_mono_takes_the_mean_and_scales_int16():
    stereo = np.array([[16384, 0], [-32768, -32768]], np.int16)
    np.testing.assert_array_equal(to_mono(stereo), np.array([0.25, -1.0], np.float32))


def test_a_rate_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive"):
        Chunker(0)
