"""Sums of sets of clips: sizes of what is best at 0, impostors, distances of sets of pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="shards need requirements/dev.txt: webdataset")
pytest.importorskip("openvino", reason="the landmark network runs in OpenVINO")

from atl_evaluation.metrics.features import Perceptual
from atl_training.likeness import EVERY, Likeness, of_sets
from atl_training.results import GAINED, POSED, gains, summed, with_impostors
from atl_training.ways import HELD, STILL, TRUTH


def test_early_and_late_do_not_cancel():
    clips = [{"ours": {"gap_lag": lag, "jerk": -lag}} for lag in (3, -3, np.nan)]
    assert summed(clips)["ours"] == {"abs_gap_lag": [3, 3, 3], "jerk": [0, -3, 3]}


def test_gains_on_a_still_mouth_are_paired_by_clip():
    clips = [{POSED: dict.fromkeys(GAINED, ours), HELD: dict.fromkeys(GAINED, ours - 1)} for ours in (5.0, 7.0, np.nan)]
    assert gains(clips) == dict.fromkeys(GAINED, [1, 1, 1])


def clips_of(*people):
    """Clips whose faces' embeddings are their numbers."""
    return [SimpleNamespace(facts={"speaker": who}, frames=lambda k=k: [np.full((2, 2, 3), k)]) for k, who in enumerate(people)]


def test_impostors_are_the_other_people():
    embed = lambda picture: np.full(128, float(picture.max()))  # noqa: E731
    others = [impostors[:, 0].tolist() for _, impostors in with_impostors(clips_of("ann", "bob", "ann"), embed)]
    assert others == [[1], [0, 2], [1]]
    assert [impostors for _, impostors in with_impostors(clips_of("ann", "ann"), embed)] == [None, None]


class Networks:
    """Features that tell what was looked at."""

    pairs = SimpleNamespace(features=lambda picture: [picture.astype(float).transpose(2, 0, 1)], distance=Perceptual.distance)
    sets = staticmethod(lambda pictures: np.array([[p.shape[0], p.mean()] for p in pictures], float))


def test_mouths_and_faces_are_looked_at_where_the_true_ones_are():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2 * EVERY + 1, 200, 200, 3), np.uint8)
    marks = rng.uniform(40, 160, (len(frames), 68, 3))
    marks[EVERY] = np.nan  # no face in it: neither mouth nor square
    likeness = Likeness(Networks, SimpleNamespace(frames=frames, landmarks=marks))
    assert likeness.mouths(frames) == 0 and len(likeness.faces) == 2
    away = frames.copy()
    away[1:EVERY], away[:, :10, :10] = 0, 0  # frames between those that are judged, and a corner without a face
    assert likeness.mouths(away) == 0 and np.array_equal(likeness.faces_of(STILL, away), likeness.faces)
    assert likeness.mouths(255 - frames) > 0.1
    floor = likeness.faces_of(TRUTH, frames)
    assert len(floor) == 2 and not np.array_equal(floor, likeness.faces), "other frames of the film"


def test_distances_of_sets_are_over_all_clips():
    rng = np.random.default_rng(1)
    true = [rng.standard_normal((20, 4)) for _ in range(3)]
    far = of_sets(true, {"same": true, "moved": [clip + 1 for clip in true]})
    assert far["same"]["frechet_efficientnet"] == pytest.approx(0, abs=1e-9)
    assert far["moved"]["frechet_efficientnet"] == pytest.approx(4)
    assert far["moved"]["kernel_efficientnet"] > far["same"]["kernel_efficientnet"]
