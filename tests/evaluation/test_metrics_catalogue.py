"""What figures mean, and how sure a mean is."""
import numpy as np
import pytest

from atl_evaluation.metrics.catalogue import METRICS
from atl_evaluation.metrics.statistics import bootstrap_interval


def test_every_figure_says_what_it_is():
    for name, metric in METRICS.items():
        assert metric.name == name and len(metric.definition) > 20 and metric.source
        assert metric.better in ("higher", "lower", None) or isinstance(metric.better, float)
    for name in ("perceptual_hed_vgg_mouth", "frechet_efficientnet", "kernel_efficientnet", "lse_c", "lse_d"):
        assert "not comparable" in METRICS[name].definition, name


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.exponential(1, 40))
        covered += low <= 1 <= high
    assert 0.88 <= covered / 200 <= 0.98


def test_the_interval_is_that_of_theory_and_the_same_every_time():
    values = np.random.default_rng(1).normal(10, 2, 100)
    low, high = bootstrap_interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 10, rel=0.06)
    assert (low, high) == bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_clips_without_the_figure_are_left_out():
    values = [1.0, 2.0, 4.0]
    assert bootstrap_interval([np.nan, *values, np.inf]) == bootstrap_interval(values)
    weights = [9, 3, 2, 1, 9]
    assert bootstrap_interval([np.nan, *values, np.inf], weights) == bootstrap_interval(values, weights[1:4])
    assert bootstrap_interval(values, [5, 5, 5]) == pytest.approx(bootstrap_interval(values))
    assert np.greater(bootstrap_interval([0, 1, 1, 1], [1, 1, 1, 9]), bootstrap_interval([0, 1, 1, 1], [9, 1, 1, 1]))[0]
    assert np.isnan(bootstrap_interval([3.0])).all() and bootstrap_interval([3.0, 3.0]) == (3, 3)


def test_of_groups_these_are_drawn():
    values, voices = np.repeat([1.0, 2.0, 3.0, 4.0], 20), np.repeat(["a", "b", "c", "d"], 20)
    assert bootstrap_interval(values, groups=voices) == pytest.approx(bootstrap_interval([1.0, 2.0, 3.0, 4.0]))
    assert bootstrap_interval(values, groups=np.arange(80)) == pytest.approx(bootstrap_interval(values), abs=0.03)
    uneven, whose = [1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"]
    low, high = bootstrap_interval(uneven, groups=whose)
    assert (low, high) == (1, 5) and np.isnan(bootstrap_interval(uneven, groups=["a"] * 4)).all()
    assert bootstrap_interval([np.nan, *uneven], groups=["c", *whose]) == (1, 5)
