"""A frame that has fallen behind is told from a stream that is merely far away."""
import pytest

from atl_diffusion_node.lateness import LOST, Lateness

MS = 1_000_000
LIMIT = 100 * MS


def judged(delays_ms, lateness=None):
    lateness = lateness or Lateness()
    return [lateness.is_late(round(d * MS), LIMIT) for d in delays_ms]


@pytest.mark.parametrize("offset_ms", [0, -1e6, 3.6e9])
def test_a_steady_stream_is_never_late_whatever_its_clock(offset_ms):
    assert not any(judged([offset_ms + 150 + (k % 4) for k in range(100)]))


def test_a_frame_behind_by_more_than_the_limit_is_late():
    assert judged([150] * 10 + [240, 251, 251, 150]) == [False] * 11 + [True, True, False]


def test_early_frames_at_a_streams_end_do_not_make_the_rest_late():
    assert not any(judged([150] * 20 + [110, 70, 30] + [150 + 40 * (k % 3 == 0) for k in range(50)]))


def test_overload_drops_some_and_draws_the_rest():
    """Drawing takes 45 ms a frame, 40 ms is what there is: the queue stays bounded, and most frames are drawn."""
    lateness, now_ms, drawn, worst = Lateness(), 0.0, 0, 0.0
    for k in range(1000):
        now_ms = max(now_ms, 40.0 * k)
        delay_ms = now_ms - 40.0 * k
        if not lateness.is_late(round(delay_ms * MS), LIMIT):
            now_ms += 45.0
            drawn += 1
            worst = max(worst, delay_ms)
    assert 800 < drawn < 1000 and worst <= 100


@pytest.mark.parametrize("step_ms", [-500, 500])
def test_a_clock_that_is_set_does_not_stop_the_face(step_ms):
    after = judged([150] * 50 + [150 + step_ms] * (2 * LOST))[50:]
    assert sum(after) <= LOST and not any(after[-LOST:])
