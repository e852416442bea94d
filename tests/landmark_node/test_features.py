"""Streaming log-mel equals a slow whole-file reference for any chunking."""
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_landmark_node import features
from atl_landmark_node.features import (
    FFT,
    FLOOR,
    HOP,
    MELS,
    OFFSET,
    SCALE,
    SILENCE,
    WINDOW,
    LogMel,
    log_mel,
    mel_filters,
)

SOUND = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)


def slow_log_mel(sound):
    padded = np.concatenate([np.zeros(WINDOW - HOP), sound])
    filters, hann, out = mel_filters(), np.hanning(WINDOW), []
    for j in range(len(sound) // HOP):
        window = padded[j * HOP: j * HOP + WINDOW] * hann
        spectrum = [abs(sum(window[n] * np.exp(-2j * np.pi * k * n / FFT) for n in range(WINDOW))) ** 2 for k in (10, 40)]
        full = np.abs(np.fft.rfft(window, FFT)) ** 2
        assert np.allclose([full[10], full[40]], spectrum)  # the FFT is the DFT
        power = full / (hann**2).sum()
        out.append([(np.log10(sum(power * filters[:, m]) + FLOOR) + OFFSET) / SCALE for m in range(MELS)])
    return np.array(out)


def test_log_mel_equals_a_slow_reference():
    assert np.allclose(log_mel(SOUND[:800]), slow_log_mel(SOUND[:800]), atol=1e-4)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=40))
def test_any_chunking_gives_the_same_features(sizes):
    stream, parts, at = LogMel(), [], 0
    for size in sizes:
        parts.append(stream.push(SOUND[at: at + size]))
        at += size
    whole = log_mel(SOUND[:at])
    assert np.array_equal(np.concatenate(parts), whole), "to the bit: a network in bfloat16 may round a small difference up"


def test_long_sound_is_computed_in_blocks_with_the_same_numbers(monkeypatch):
    whole = log_mel(SOUND)
    for size in (1, 7, len(whole), 10_000):
        monkeypatch.setattr(features, "BLOCK", size)
        assert np.array_equal(log_mel(SOUND), whole)


def test_silence_is_the_stated_value():
    assert np.allclose(log_mel(np.zeros(1600, np.float32)), SILENCE, atol=1e-5)
