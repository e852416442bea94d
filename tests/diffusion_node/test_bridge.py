"""The bridge: its equations, its schedule, its sampler."""
import numpy as np
import pytest

from atl_diffusion_node.bridge import between, sample, schedule, start_state

RNG = np.random.default_rng(0)
X_0, WARPED, NOISE = (RNG.normal(size=(1, 3, 8, 8)) for _ in range(3))
MASK = RNG.uniform(0.1, 1, (8, 8))


def test_ends_of_the_bridge():
    x_1 = start_state(WARPED, MASK, NOISE)
    assert np.array_equal(between(X_0, x_1, 0.0), X_0) and np.array_equal(between(X_0, x_1, 1.0), x_1)
    assert np.allclose(x_1 - WARPED, MASK * NOISE)


def test_schedule_runs_from_one_to_zero():
    for steps in (1, 2, 5):
        times = schedule(steps)
        assert len(times) == steps + 1 and times[0] == 1 and times[-1] == 0 and (np.diff(times) < 0).all()


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_perfect_network_arrives_and_every_state_lies_on_the_bridge(steps):
    x_1, calls = start_state(WARPED, MASK, NOISE), []

    def predict(x, s, index):
        assert np.allclose(x, between(X_0, x_1, s))
        calls.append(index)
        return X_0

    assert np.allclose(sample(predict, x_1, steps), X_0)
    assert calls == list(range(steps))


def test_the_noises_covariance_is_the_mask_squared():
    draws = start_state(0.0, MASK, RNG.normal(size=(4000, 8, 8)))
    assert np.allclose(draws.var(0), MASK**2, rtol=0.15)
