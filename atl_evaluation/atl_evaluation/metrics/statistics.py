"""Means, and how sure a mean over clips is."""
import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 4000  # from seed to seed the interval's ends then vary by a hundredth of its width (standard deviation, 20 clips)


def mean_of(values, weights=None) -> float:
    """The mean of what is finite, NaN if nothing is (numpy's nanmean warns then). weights: of the values; None: all alike."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=None if weights is None else np.asarray(weights, np.float64)[known]))


def bootstrap_interval(values, weights=None, seed: int = 0, groups=None) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of one value per clip, (low, high).

    weights: of the clips, such as their lengths; None: all alike. groups: whose each clip is (a voice's, a person's): these are
    drawn then, with all their clips, since clips of one voice are alike, too; the mean stays that over clips.

    Clips are drawn, not frames: frames of a clip are alike and would make everything look certain. Values that are not finite
    are left out; with fewer than two clips (or groups) there is no interval, (nan, nan). To compare two methods give the
    differences by clip.
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    values = np.asarray(values, np.float64)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    known = np.isfinite(values)
    sums, weights = values[known] * weights[known], weights[known]
    if groups is not None:
        _, group = np.unique(np.asarray(groups)[known], return_inverse=True)
        sums, weights = (np.bincount(group, part) for part in (sums, weights))
    if len(sums) < 2:
        return float("nan"), float("nan")

    def mean(drawn, drawn_weights, axis):
        return np.sum(drawn, axis) / np.sum(drawn_weights, axis)

    found = bootstrap((sums, weights), mean, n_resamples=RESAMPLES, batch=500, confidence_level=0.95,
                      method="percentile", paired=True, random_state=np.random.default_rng(seed)).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)
