"""Pairs from single pictures: what the portrait keeps, what is taken away from it, and what a segment holds."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_face.topology import INNER_LIPS, lip_gap
from atl_training.renderer.pack import ARRAYS, FRAMES, warper
from atl_training.renderer.photos import SHUT_MORE, TOOTHY, WORK, Job, Photo, cut, in_pixels, make_portrait, plan

WHITE = 250


@pytest.fixture(scope="module")
def shut():
    """The shipped portrait, whose mouth is shut, as a photo."""
    portrait = load_portrait(default_portrait_path(), 1024)
    return Photo("shut", WORK.cut(portrait.transform, portrait.picture), portrait.neutral)


@pytest.fixture(scope="module")
def toothy(shut):
    """The same face with an open mouth painted on: white between the lips."""
    points = shut.points.copy()
    points[61:64, 1] -= 0.02
    points[65:68, 1] += 0.02
    wide = shut.wide.copy()
    cv2.fillPoly(wide, [np.round(in_pixels(points)[INNER_LIPS, :2]).astype(np.int32)], (WHITE,) * 3)
    return Photo("toothy", wide, points)


def between_lips(picture, points):
    """Mean brightness in the middle of the mouth."""
    x, y = in_pixels(points)[[62, 66], :2].mean(0).astype(int)
    return float(picture[y - 1 : y + 2, x - 4 : x + 5].mean())


def test_a_shut_mouth_gets_the_teeth_of_somebody_else(shut, toothy):
    seen = [make_portrait(shut, toothy, warper(), np.random.default_rng(seed)) for seed in range(12)]
    opened = [(p, q) for p, q in seen if lip_gap(q) > 0.04]
    assert 4 <= len(opened) < 12, "most of them smile, some stay shut"
    assert all(between_lips(p, q) > 150 for p, q in opened)


def test_teeth_are_gone_where_the_portrait_shuts_its_mouth(shut, toothy):
    assert toothy.gap > TOOTHY > shut.gap
    for seed in range(6):
        portrait, points = make_portrait(toothy, toothy, warper(), np.random.default_rng(seed))
        assert lip_gap(points) < 0.03
        assert between_lips(portrait, points) < 110, "a dark line, not what is left of the teeth"


def test_pictures_with_a_shut_mouth_are_used_more_often(shut, toothy):
    jobs = plan([shut, toothy, replace(toothy, name="other")], 2, np.random.default_rng(0))
    assert [job.segments for job in jobs] == [2 * SHUT_MORE, 2, 2]
    assert all(donor.name in ("toothy", "other") for job in jobs for donor in job.donors)


def test_a_segment_is_what_the_renderer_trains_on(shut, toothy):
    arrays = cut(Job(toothy, [toothy] * 2), seed=0)
    assert {name: (a.shape[1:], a.dtype) for name, a in arrays.items()} == {
        name: (shape, np.dtype(kind)) for name, (shape, kind) in ARRAYS.items()
    }
    again = cut(Job(toothy, [toothy] * 2), seed=0)
    assert all(np.array_equal(arrays[name], again[name]) for name in ARRAYS)
    target, warped = arrays["target"].astype(int), arrays["warped"].astype(int)
    assert np.array_equal(target[:, 0], target[:, FRAMES - 1]), "a picture doesn't move"
    apart = np.abs(target - warped)[:, 0].mean(-1)
    assert np.median(apart) < 4, "warped back, the portrait is the picture"
    assert apart.max() > 100, "but for the teeth, which the portrait doesn't show"
