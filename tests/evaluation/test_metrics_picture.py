"""Figures of pictures whose values are known beforehand."""
import numpy as np
import pytest

from atl_evaluation.metrics import picture
from atl_evaluation.metrics.catalogue import METRICS

SIZE, FRAMES = 64, 4


@pytest.fixture
def frames():
    """(T, H, W, 3) of noise between 60 and 190: nothing clips when something is added."""
    return np.random.default_rng(0).integers(60, 190, (FRAMES, SIZE, SIZE, 3)).astype(np.uint8)


def face(width=30.0):
    """Landmarks (T, 68, 2) somewhere in the picture, `width` px between the outer eye corners."""
    points = np.random.default_rng(1).uniform(20, 44, (68, 2))
    points[36], points[45] = (32 - width / 2, 24), (32 + width / 2, 24)
    return np.repeat(points[None], FRAMES, axis=0)


def test_identical_frames_are_perfect_by_every_figure(frames):
    figures = picture.compare(frames, frames.copy(), face())
    assert set(figures) <= set(METRICS)
    for name, values in figures.items():
        assert values.shape == (FRAMES,)
        assert np.allclose(values, picture.PSNR_MOST if name.startswith("psnr") else 1.0), name


def test_psnr_of_a_known_error(frames):
    assert np.allclose(picture.psnr(frames, frames + 10), 20 * np.log10(255 / 10))
    noise = np.random.default_rng(2).normal(0, 5, frames.shape)
    noisy = np.rint(frames + noise).astype(np.uint8)
    assert np.allclose(picture.psnr(frames, noisy), 20 * np.log10(255 / np.sqrt(25 + 1 / 12)), atol=0.15)


def test_ssim_of_flat_pictures_is_its_luminance_term():
    a, b = (np.full((1, SIZE, SIZE, 3), value, np.uint8) for value in (100, 120))
    c1 = (0.01 * 255) ** 2
    assert picture.ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))


def test_ssim_of_halved_contrast_is_its_contrast_term():
    """A checkerboard's windows have its mean and, but for 0.1 %, its variance."""
    sign = np.where(np.indices((SIZE, SIZE)).sum(0) % 2, 1, -1)[None, ..., None] * np.ones(3)
    a, b = ((128 + amplitude * sign).astype(np.uint8) for amplitude in (40, 20))
    c2 = (0.03 * 255) ** 2
    assert picture.ssim(a, b) == pytest.approx((2 * 40 * 20 + c2) / (40**2 + 20**2 + c2), abs=1e-3)


def test_only_what_is_in_the_box_counts(frames):
    made = 255 - frames
    made[:, 10:40, 5:50] = frames[:, 10:40, 5:50]
    inside, over = np.array([5.0, 10.0, 50.0, 40.0]), np.array([4.9, 10.0, 50.0, 40.0])
    assert np.all(picture.psnr(frames, made, inside) == picture.PSNR_MOST) and np.all(picture.psnr(frames, made, over) < 30)
    beyond = picture.psnr(frames, made, np.array([-20.0, -20.0, 500.0, 500.0]))
    assert np.array_equal(beyond, picture.psnr(frames, made))


def test_frames_without_a_face_have_no_figure_and_do_not_hurt_the_others(frames):
    boxes = np.tile([10.0, 10, 40, 40], (FRAMES, 1))
    boxes[1] = np.nan
    boxes[2] = (100, 100, 140, 140)  # outside the picture
    for figure in (picture.psnr, picture.ssim, picture.sharpness):
        assert np.isfinite(figure(frames, frames, boxes)).tolist() == [True, False, False, True]
    assert np.isnan(picture.ssim(frames, frames, np.array([0, 0, 10, 10.0]))).all()  # no window fits


def test_sharpness_is_the_ratio_of_laplacian_energies(frames):
    doubled = (125 + 0.5 * (frames.astype(float) - 125)).astype(np.uint8)
    assert np.allclose(picture.sharpness(frames, doubled), 0.25, rtol=0.02)
    flat = np.full_like(frames, 90)
    assert np.all(picture.sharpness(frames, flat) == 0) and np.isnan(picture.sharpness(flat, frames)).all()


def test_flicker_counts_static_pixels_alone():
    real = np.full((9, SIZE, SIZE, 3), 100, np.uint8)
    real[::2, :, :20] = 160  # something moves at the left
    made = real.copy()
    made[1::2, :, 40:] += 4
    static = picture.static_pixels(real)
    assert not static[:, :20].any() and static[:, 20:].all()
    assert np.allclose(picture.flicker(made, static), 4 * 24 / 44) and np.all(picture.flicker(real, static) == 0)


def test_without_truth_what_no_face_covers_is_static():
    boxes = np.array([[10, 10, 20.5, 20], [30, 30, 100, 40], [np.nan] * 4])
    outside = picture.outside_faces(boxes, SIZE, SIZE)
    assert (~outside).sum() == 11 * 10 + 34 * 10 and not outside[10:20, 20].any() and not outside[35, 63]
    assert np.isnan(picture.flicker(np.zeros((3, 8, 8, 3), np.uint8), np.zeros((8, 8), bool))).all()


def test_frames_that_do_not_match_are_refused(frames):
    with pytest.raises(ValueError, match="as many"):
        picture.psnr(frames, frames[1:])
