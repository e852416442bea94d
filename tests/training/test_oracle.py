"""The oracle, which is told phonemes instead of sound: told no more than it may know, it follows lips that it never saw."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_landmark_node.features import MELS  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD  # noqa: E402
from atl_training.landmarks.oracle import PHONEMES, load_told, told_features, train  # noqa: E402
from atl_training.shards import read_shards  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"


@pytest.fixture(scope="module")
def told():
    return load_told([SAMPLE])


def test_it_is_told_the_phoneme_of_each_10_ms():
    clip = next(clip for clip in read_shards([SAMPLE]) if clip.says_something)
    features = told_features(clip, len(clip.arrays["landmarks"]))
    assert features.shape == (CURRENT * len(clip.arrays["landmarks"]), MELS)
    for frame, name in enumerate(clip.arrays["phoneme"]):  # as the studio labels the frame's middle
        around = features[CURRENT * frame + 1:CURRENT * frame + 3, :-2]  # its middle lies between these two
        assert PHONEMES.index(str(name)) in around.argmax(1)
    assert (features[:, :-2].sum(1) <= 1).all()


def test_what_comes_after_the_look_ahead_changes_nothing(told):
    oracle = train(told[0], LOOKAHEAD, 1)
    features = told[1][0].features[:400].copy()
    before = oracle.displacement(features)
    features[200 + LOOKAHEAD:] = 0
    after = oracle.displacement(features)
    np.testing.assert_allclose(before[:50], after[:50], atol=1e-6)
    assert np.abs(before[50:] - after[50:]).max() > 1e-5


def test_it_learns_to_follow(tmp_path):
    """At 120 steps on the twenty clips of the sample."""
    out = tmp_path / "oracle.json"
    tool = [sys.executable, "-m", "atl_training.landmarks.oracle", "--shards", SAMPLE, "--out", out]
    subprocess.run([*tool, "--lookahead", "80", "--steps", "120"], check=True, timeout=280)
    figures = json.loads(out.read_text())
    assert figures["told"]["80"]["gap_r"] > 0.75 > figures["energy jaw"]["gap_r"]
    assert figures["net"]["gap_r"] > 0.7  # the shipped network's, which hears

    subprocess.run([*tool, "--lookahead", "80", "--steps", "120"], check=True, timeout=60)  # kept, not trained again
    assert json.loads(out.read_text()) == figures


@pytest.mark.parametrize("options, sentence", [(["--lookahead", "30"], "multiples of 20 ms"), (["--steps", "0"], "1 or more")])
def test_a_wrong_option_is_one_sentence(tmp_path, options, sentence):
    tool = [sys.executable, "-m", "atl_training.landmarks.oracle", "--shards", SAMPLE, "--out", tmp_path / "x.json", *options]
    told = subprocess.run(tool, capture_output=True, text=True, timeout=120)
    assert told.returncode and sentence in told.stderr and "Traceback" not in told.stderr
