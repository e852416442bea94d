"""The line between lips that shut over teeth."""
import numpy as np
import pytest

from atl_diffusion_node.lips import OPEN, SEALED, LipLine
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_face.topology import CLOSED_LIP_GAP, lip_gap

SIZE = 256


@pytest.fixture(scope="module")
def shut():
    """Landmarks of the shipped portrait, whose mouth is shut."""
    return load_portrait(default_portrait_path(), 512).neutral


def opened(points, amount):
    points = points.copy()
    points[61:64, 1] -= amount / 2
    points[65:68, 1] += amount / 2
    return points


@pytest.fixture(scope="module")
def crop():
    portrait = load_portrait(default_portrait_path(), 512)
    return portrait.transform.extract(portrait.picture, SIZE)


def test_a_portrait_that_shows_no_teeth_is_left_alone(crop, shut):
    line = LipLine.of(crop, shut)
    assert line.gap < CLOSED_LIP_GAP and line.share(shut) == 0
    picture = crop.copy()
    line.cover(picture, shut, lambda xy: xy * SIZE)
    assert np.array_equal(picture, crop)


def test_the_line_comes_as_the_mouth_shuts(crop, shut):
    line = LipLine.of(crop, opened(shut, 0.08))
    shares = [line.share(opened(shut, 0.08 * part)) for part in np.linspace(0, 1, 21)]
    assert shares[0] == 1 and shares[-1] == 0 and np.all(np.diff(shares) <= 0)
    half = line.share(opened(shut, 0.08 * (SEALED + OPEN) / 2))
    assert 0.3 < half < 0.7 and lip_gap(opened(shut, 0.08)) == pytest.approx(line.gap, abs=0.02)


def test_it_is_painted_between_the_lips_and_nowhere_else(crop, shut):
    line = LipLine.of(crop, opened(shut, 0.08))
    x, y = (shut[48:60, :2] * SIZE).astype(int).T
    assert np.all(line.colour < crop[y, x].mean(0))
    picture = np.full_like(crop, 255)
    line.cover(picture, shut, lambda xy: xy * SIZE)
    x, y = (shut[[62, 66], :2].mean(0) * SIZE).astype(int)
    assert np.abs(picture[y - 1 : y + 2, x].astype(float) - line.colour).max(-1).min() < 60, "the line, blurred into the white"
    changed = np.argwhere((picture != 255).any(-1))
    mouth = shut[60:68, 1] * SIZE, shut[60:68, 0] * SIZE
    assert len(changed) and all(
        part.min() - 6 < changed[:, k].min() and changed[:, k].max() < part.max() + 6 for k, part in enumerate(mouth)
    )


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_a_mouth_outside_the_picture_is_no_error(crop, shut, shift):
    line, picture = LipLine.of(crop, opened(shut, 0.08)), crop.copy()
    line.cover(picture, shut + shift, lambda xy: xy * SIZE)
    assert np.array_equal(picture, crop)
