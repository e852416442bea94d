"""Clips made anew: what drives them, and the sums of their figures."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="shards need requirements/dev.txt: webdataset")
pytest.importorskip("openvino", reason="the landmark network runs in OpenVINO")

from atl_evaluation.metrics.motion import landmark_distance
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import MOUTH, lip_gap
from atl_landmark_node.face_model import RIGID
from atl_landmark_node.model import SpeechModel
from atl_training.results import is_spoken, summed
from atl_training.shards import read_shards
from atl_training.ways import FROM_SOUND, FROM_SOUND_POSED, FROM_TRUE, Clip

SAMPLE = Path(__file__).parents[1] / "data" / "corpus_sample"


@pytest.fixture(scope="module")
def clip():
    return Clip.of(next(sample for sample in read_shards([SAMPLE]) if is_spoken(sample)))


def test_what_drives_a_clip(clip):
    points = clip.points(SpeechModel())
    assert all(p.shape == (len(clip.frames), 68, 3) for p in points.values())
    assert np.allclose(clip.portrait.transform.to_portrait(points[FROM_TRUE]), clip.landmarks, atol=1e-6)
    # held as the true head is: what speech leaves alone lies where it truly lies, unlike from sound alone
    posed, alone = (np.linalg.norm((points[way] - points[FROM_TRUE])[:, RIGID, :2], axis=-1).mean()
                    for way in (FROM_SOUND_POSED, FROM_SOUND))  # fmt: skip
    assert posed < 0.5 * alone
    assert np.std(lip_gap(points[FROM_SOUND_POSED])) > 0.01, "the mouth speaks"
    assert landmark_distance(points[FROM_TRUE], points[FROM_SOUND_POSED], MOUTH).mean() > 0


def test_the_portrait_is_not_judged(clip):
    rest = clip.after_first
    assert len(rest.frames) == len(rest.landmarks) == len(rest.sound) / FRAME_SAMPLES == len(clip.frames) - 1
    still = np.repeat(clip.portrait.picture[None], len(rest.frames), axis=0)
    assert all((made != true).any() for made, true in zip(still, rest.frames, strict=True)), "no frame is had for nothing"
    assert np.array_equal(clip.portrait.picture, clip.frames[0])


def test_figures_are_summed_over_clips_that_have_them():
    clips = [{"ours": {"psnr": value, "lse_c": lse}} for value, lse in ((30.0, np.nan), (32.0, 0.4), (34.0, 0.2))]
    mean, low, high = summed(clips)["ours"]["psnr"]
    assert mean == 32 and 30 <= low < mean < high <= 34
    assert summed(clips)["ours"]["lse_c"][0] == pytest.approx(0.3)
    assert summed(clips[:1])["ours"]["lse_c"] == [None, None, None]
