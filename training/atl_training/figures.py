"""Which clips are judged, and how sure the means of their figures are."""
from collections.abc import Iterable

import numpy as np

from atl_evaluation.metrics.statistics import bootstrap_interval, mean_of


def spread(items: list, most: int) -> list:
    """At most so many of a list, evenly from all of it; 0: all."""
    if not most or len(items) <= most:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, most).astype(int)]


def with_interval(values: Iterable[float], weights=None, groups=None) -> list[float | None]:
    """Mean over clips and the ends of its 95 % bootstrap interval; None what can't be known. groups: see `bootstrap_interval`."""
    values = np.asarray(list(values), np.float64)
    return [rounded(number, 4) for number in (mean_of(values, weights), *bootstrap_interval(values, weights, groups=groups))]


def rounded(number: float, digits: int) -> float | None:
    """For JSON, which has no NaN."""
    return round(float(number), digits) if np.isfinite(number) else None


def summed(rows: list[dict[str, float]], groups=None) -> dict[str, list[float | None]]:
    """Figure -> mean with interval, of figures by clip. groups: see `bootstrap_interval`."""
    return {name: with_interval((row[name] for row in rows), groups=groups) for name in rows[0]}
