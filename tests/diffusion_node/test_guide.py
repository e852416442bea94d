"""Guide noise and rasters against slow references."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_diffusion_node.guide import MASK_FLOOR, MASK_SIGMA, POINT_WEIGHT, guide_mask, rasters
from atl_diffusion_node.renderer import reference_landmarks

POINTS = reference_landmarks()


def test_the_mask_equals_its_formula():
    size = 24
    mask, slow = guide_mask(POINTS, size), np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            u = np.array([(column + 0.5) / size, (row + 0.5) / size])
            slow[row, column] = sum(
                w * np.exp(-np.sum((u - p) ** 2) / (2 * MASK_SIGMA**2)) for p, w in zip(POINTS, POINT_WEIGHT, strict=True)
            )
    assert np.allclose(mask, MASK_FLOOR + (1 - MASK_FLOOR) * slow / slow.max(), atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_the_mask_lies_between_floor_and_one_and_moves_with_the_points(dx, dy):
    mask = guide_mask(POINTS + (dx, dy), 64)
    assert mask.min() >= MASK_FLOOR and mask.max() == pytest.approx(1)
    centre = np.unravel_index(guide_mask(POINTS, 64).argmax(), (64, 64))
    moved = np.unravel_index(mask.argmax(), (64, 64))
    assert np.abs(np.array(moved) - centre - (dy * 64, dx * 64)).max() <= 1.5


def test_the_mask_has_subpixel_resolution():
    assert not np.allclose(guide_mask(POINTS, 32), guide_mask(POINTS + 0.1 / 32, 32), atol=1e-4)


def test_the_mask_is_differentiable_in_the_points():
    """A point walks two pixels in steps of a hundredth: every slope is near the ones before and after it, and they aren't 0."""
    pixel, size = 1 / 128, 128
    masks = []
    for step in range(201):
        points = POINTS.copy()
        points[8, 0] += step * pixel / 100  # the chin: the mask's maximum, by which it is normalised, is the mouth's
        masks.append(guide_mask(points, size).astype(np.float64))
    slopes = np.diff(masks, axis=0) * 100  # a pixel
    largest = np.abs(slopes).max()
    assert 0.005 < largest < 0.1
    assert np.abs(np.diff(slopes[::10], axis=0)).max() < 0.05 * largest, "no jumps where a point crosses into another pixel"


def test_the_mouth_is_where_most_noise_is():
    mask = guide_mask(POINTS, 128)
    mouth, cheek = POINTS[48:68].mean(0), (POINTS[3] + POINTS[48]) / 2
    at = lambda p: mask[int(p[1] * 128), int(p[0] * 128)]  # noqa: E731
    assert at(mouth) > 2 * at(cheek)


def test_the_opening_is_the_polygon_of_the_inner_lips():
    from matplotlib.path import Path

    size = 128
    drawn = rasters(POINTS, size)[..., 0] > 127
    y, x = np.mgrid[0:size, 0:size]
    inside = Path(POINTS[60:68] * size).contains_points(np.stack([x + 0.5, y + 0.5], -1).reshape(-1, 2)).reshape(size, size)
    assert np.mean(drawn != inside) < 0.01 and inside.sum() > 100
    assert np.sum(drawn & inside) / np.sum(drawn | inside) > 0.75  # OpenCV fills its outline too


def test_lines_are_where_their_points_are():
    picture = rasters(POINTS, 128)
    for index, channel in [(51, 1), (57, 1), (8, 2), (30, 2), (37, 2), (19, 2)]:
        x, y = (POINTS[index] * 128).astype(int)
        assert picture[y - 2: y + 3, x - 2: x + 3, channel].max() > 100
