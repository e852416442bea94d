"""The oracle, which is told phonemes instead of sound: told no more than it may know, it follows lips that it never saw."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_landmark_node.features import MELS, log_mel  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD  # noqa: E402
from atl_training.landmarks.oracle import PHONEMES, Oracle, load_clips, told_features, train  # noqa: E402
from atl_training.shards import read_shards  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"


@pytest.fixture(scope="module")
def clips():
    return load_clips([SAMPLE])


def command(out: Path, *options: str) -> list:
    return [sys.executable, "-m", "atl_training.landmarks.oracle", "--shards", SAMPLE, "--out", out, *options]


def test_it_is_told_the_phoneme_of_each_10_ms():
    clip = next(clip for clip in read_shards([SAMPLE]) if clip.says_something)
    frames = len(clip.arrays["landmarks"])
    features = told_features(clip, frames)
    assert features.shape == (CURRENT * frames, MELS)
    for row, middle in zip(features, 0.005 + 0.01 * np.arange(CURRENT * frames), strict=True):
        segment = np.flatnonzero((clip.arrays["phoneme_start"] <= middle) & (middle < clip.arrays["phoneme_end"]))
        assert row[:-2].sum() == len(segment) == 1
        assert row[PHONEMES.index(str(clip.arrays["phoneme_name"][segment[0]]))] == 1
    bands = log_mel(clip.audio)[:len(features)]
    np.testing.assert_allclose(features[:len(bands), -1], bands.max(1))
    np.testing.assert_allclose(features[:len(bands), -2], bands.mean(1))


def test_what_is_said_later_is_not_told():
    """Sound and phonemes from a second on change no feature before it."""
    clip = next(clip for clip in read_shards([SAMPLE]) if clip.says_something)
    frames = len(clip.arrays["landmarks"])
    before = told_features(clip, frames)
    clip.audio[16000:] = 0
    late = clip.arrays["phoneme_start"] >= 1
    clip.arrays["phoneme_name"] = np.where(late, "m", clip.arrays["phoneme_name"])
    after = told_features(clip, frames)
    np.testing.assert_array_equal(before[:100], after[:100])
    assert (before[100:] != after[100:]).any()


@pytest.mark.parametrize("lookahead", [0, LOOKAHEAD])
def test_what_comes_after_the_look_ahead_changes_nothing(clips, lookahead):
    oracle = train(Oracle(lookahead), clips[0], 50)
    features = clips[1][0].told[:280].copy()
    before = oracle.displacement(features)
    features[100 + lookahead:] = 0
    after = oracle.displacement(features)
    np.testing.assert_allclose(before[:25], after[:25], atol=1e-6)
    assert np.abs(before[25:] - after[25:]).max() > 1e-5


def test_it_learns_to_follow_and_keeps_what_it_has_done(tmp_path):
    out = tmp_path / "oracle.json"
    tool = command(out, "--lookahead", "80", "--steps", "120")
    subprocess.run(tool, check=True, timeout=280)
    figures = json.loads(out.read_text())
    assert figures["rows"]["80"]["gap_r"] > 0.75 > figures["energy jaw"]["gap_r"]
    assert figures["rows"]["hears"]["gap_r"] < figures["rows"]["80"]["gap_r"]
    assert figures["net"]["gap_r"] > 0.7  # the shipped network's

    figures["rows"]["80"]["gap_r"] = 0.5  # not trained again
    out.write_text(json.dumps(figures))
    subprocess.run(tool, check=True, timeout=280)
    assert json.loads(out.read_text()) == figures

    other = subprocess.run([*tool, "--seed", "1"], capture_output=True, text=True, timeout=120)
    assert other.returncode and "choose another --out" in other.stderr
    assert json.loads(out.read_text()) == figures


@pytest.mark.parametrize("options, sentence", [(["--lookahead", "30"], "multiples of 20 ms"), (["--steps", "20"], "or more")])
def test_a_wrong_option_is_one_sentence(tmp_path, options, sentence):
    told = subprocess.run(command(tmp_path / "x.json", *options), capture_output=True, text=True, timeout=120)
    assert told.returncode and sentence in told.stderr and "Traceback" not in told.stderr


def test_a_file_of_something_else_is_refused(tmp_path):
    out = tmp_path / "list.json"
    out.write_text("[1]")
    told = subprocess.run(command(out), capture_output=True, text=True, timeout=120)
    assert told.returncode and "choose another --out" in told.stderr and "Traceback" not in told.stderr
    assert out.read_text() == "[1]"
