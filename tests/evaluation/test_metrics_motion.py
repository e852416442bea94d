"""Figures of motion whose values are known beforehand."""
import warnings

import numpy as np
import pytest

from atl_evaluation.metrics import motion
from atl_evaluation.metrics.catalogue import METRICS
from atl_face.topology import MOUTH, eye_distance, lip_gap
from atl_landmark_node.face_model import load_basis

FRAMES = 60
MISSING = [0, 17, 18, 40]


@pytest.fixture
def real():
    """(T, 68, 3) px: a face of 80 px between the eyes whose lower lip follows a smooth random path."""
    _, neutral = load_basis()
    points = np.repeat(80 * neutral[None] + 200, FRAMES, axis=0)
    path = np.convolve(np.random.default_rng(0).standard_normal(FRAMES), np.hanning(7), "same")
    points[:, [55, 56, 57, 58, 59, 65, 66, 67], 1] += (8 + 2 * path)[:, None]
    return points


def missed(points):
    """The same without a face in some frames."""
    points = points.copy()
    points[MISSING] = np.nan
    return points


def test_the_truth_against_itself(real):
    figures = motion.compare(real, real.copy())
    assert set(figures) - {"frames"} <= set(METRICS)
    assert figures.pop("frames") == FRAMES and figures.pop("gap_correlation") == pytest.approx(1)
    assert figures.pop("gap_amplitude") == pytest.approx(1)
    assert np.allclose(list(figures.values()), 0)


def test_a_moved_mouth_is_off_by_so_much(real):
    made = real.copy()
    made[:, MOUTH, 1] += 0.03 * eye_distance(real)[:, None]
    figures = motion.compare(real, missed(made))
    assert figures["m_lmd"] == pytest.approx(3) and figures["f_lmd"] == pytest.approx(3 * 20 / 68)
    assert figures["m_lvd"] == pytest.approx(0, abs=1e-9) and figures["frames"] == FRAMES - len(MISSING)


def test_a_trembling_mouth_shows_in_its_velocity(real):
    made = real.copy()
    made[::2, MOUTH, 0] += 0.02 * eye_distance(real)[::2, None]
    assert motion.compare(real, made)["m_lvd"] == pytest.approx(2) and motion.compare(real, made)["m_lmd"] == pytest.approx(1)


def test_how_the_head_is_held_is_taken_out_unless_asked_for(real):
    turn = np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    made = 1.3 * real[..., :2] @ turn + np.linspace(0, 40, FRAMES)[:, None, None]
    assert motion.compare(real, made)["f_lmd"] == pytest.approx(0, abs=1e-9)
    shifted = real + (0.1 * 80, 0, 0)
    assert np.allclose(motion.landmark_distance(real, shifted, align=False), 10, rtol=0.01)


@pytest.mark.parametrize("lag", [-3, -1, 0, 2, 3])
def test_a_planted_lag_is_found(real, lag):
    made = np.roll(real, lag, axis=0)
    for seen in (made, missed(made)):
        found, score = motion.best_lag(lip_gap(real), lip_gap(seen))
        assert found == lag and score > 0.9


def test_amplitude_and_sign_of_a_gap():
    signal = np.sin(np.arange(FRAMES))
    assert motion.gap_amplitude(signal, 0.5 * signal + 3) == pytest.approx(0.5)
    assert motion.correlation(signal, -2 * signal) == pytest.approx(-1)
    still = np.full(FRAMES, 0.1)
    assert motion.follows(signal, still) == {"gap_correlation": 0, "gap_amplitude": pytest.approx(0), "gap_lag": 0}
    assert np.isnan(list(motion.follows(still, signal).values())).all()  # silence: nothing to follow


def test_jerk_of_a_cubic_path(real):
    """x = c t^3 has the third derivative 6 c; constant acceleration has none."""
    t = np.arange(FRAMES)[:, None] / 25
    points = np.repeat(real[:1], FRAMES, axis=0)
    size = eye_distance(real[0])
    points[..., 0] += 5 * size * t**3
    assert motion.jerk(points) == pytest.approx(30) and motion.jerk(missed(points)) == pytest.approx(30)
    points[..., 0] += size * (3 * t**2 - 5 * t**3)
    assert motion.jerk(points) == pytest.approx(0, abs=1e-5)


def blinking(real, begins, length=4):
    """250 frames with the eyes shut for some from each of `begins` on."""
    points = np.repeat(real[:1], 250, axis=0)
    for begin in begins:
        for pair in ((37, 41), (38, 40), (43, 47), (44, 46)):
            points[begin: begin + length, pair] = points[begin: begin + length, pair].mean(1, keepdims=True)
    return points


def test_blinks_are_counted(real):
    points = blinking(real, (20, 90, 200))
    assert motion.blink_rate(points) == pytest.approx(3 * 6) and motion.blink_rate(blinking(real, ())) == 0
    points[91] = np.nan  # a lost face in the middle of a blink makes no second one
    assert motion.blink_rate(points) == pytest.approx(3 * 60 * 25 / 249)


def test_what_was_never_seen_has_no_figure_and_no_warning(real):
    nothing = np.full_like(real, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = motion.compare(real, nothing) | motion.alone(nothing)
        short = motion.compare(real[:1], real[:1]) | motion.alone(real[:1])
    assert figures.pop("frames") == 0 and figures.pop("face_found") == 0
    assert np.isnan(list(figures.values())).all()
    assert short["m_lmd"] == 0 and np.isnan([short["m_lvd"], short["jerk"], short["gap_lag"]]).all()


def test_the_tracker_tells_frames_without_a_face():
    pytest.importorskip("mediapipe")
    from atl_diffusion_node.portrait import default_portrait_path, load_portrait
    from atl_evaluation.metrics.tracking import track

    face = load_portrait(default_portrait_path(), 256).picture
    seen = track([face, face, np.full_like(face, 128)])
    assert seen.shape == (3, 68, 3) and np.isfinite(seen[:2]).all() and np.isnan(seen[2]).all()
    assert motion.alone(seen)["face_found"] == pytest.approx(200 / 3) and motion.alone(seen)["frames"] == 2
    assert track([]).shape == (0, 68, 3)
