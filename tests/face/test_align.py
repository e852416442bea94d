"""The similarity crop, there and back."""
import numpy as np
import pytest

from atl_face.align import CROP_SIDE, CropTransform


def face(angle=0.0, scale=1.0):
    """A schematic face whose eyes are 100 px apart (outer corners) and whose mouth lies 95 px below them."""
    points = np.zeros((68, 3))
    points[36:42, 0], points[42:48, 0] = np.linspace(-50, -20, 6), np.linspace(20, 50, 6)
    points[36:42], points[42:48] = points[36:42], points[42:48]
    points[42:48, 0] = [20, 26, 32, 50, 38, 32]
    points[36:42, 0] = [-50, -38, -32, -20, -26, -32]
    points[48:60] = [0, 95, 0]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points[:, :2] = scale * points[:, :2] @ turn.T + (300, 250)
    return points


def test_crop_is_level_centred_and_of_the_stated_size():
    points = face(angle=0.3, scale=1.7)
    points[45, :2] = points[45, :2]
    crop = CropTransform.from_landmarks(points)
    inside = crop.to_crop(points)
    assert inside[36, 1] == pytest.approx(inside[39, 1], abs=1e-6)  # eyes level
    assert inside[48:60, 0].mean() == pytest.approx(0.5, abs=0.02)
    assert crop.side_px == pytest.approx(CROP_SIDE * 170, rel=0.02)


def test_there_and_back_again():
    crop = CropTransform.from_landmarks(face(angle=-0.2, scale=0.8))
    points = np.random.default_rng(0).uniform(0, 600, (68, 3))
    assert np.allclose(crop.to_portrait(crop.to_crop(points)), points)
    assert np.allclose(CropTransform.from_list(crop.matrix.ravel()).matrix, crop.matrix)


def test_a_resized_portrait_keeps_its_crop():
    points = face()
    crop = CropTransform.from_landmarks(points)
    assert np.allclose(crop.scaled(0.5).to_crop(points * 0.5)[:, :2], crop.to_crop(points)[:, :2])


def test_extract_samples_where_to_portrait_says():
    y, x = np.mgrid[0:500, 0:600].astype(np.float32)
    ramp = np.dstack([x + 0.5, y + 0.5, np.zeros_like(x)])  # every pixel holds its own centre
    crop = CropTransform.from_landmarks(face(angle=0.1))
    cut = crop.extract(ramp, 64)
    centres = (np.mgrid[0:64, 0:64].transpose(1, 2, 0)[..., ::-1] + 0.5) / 64
    expected = crop.to_portrait(centres)
    inner = np.s_[16:48, 16:48]
    assert np.abs(cut[inner][..., :2] - expected[inner]).max() < 0.2
    tall = crop.extract(ramp, 64, 20)
    assert tall.shape == (84, 64, 3) and np.allclose(tall[20:], cut, atol=1e-3)
    wide = crop.extract(ramp, 64, 20, 10, 5)
    assert wide.shape == (89, 84, 3) and np.allclose(wide[20:84, 10:74], cut, atol=0.05)
    over = crop.to_portrait(centres[:20] - (0, 20 / 64))
    assert np.abs(tall[:20, 16:48, :2] - over[:, 16:48]).max() < 0.2
