"""Sections of a run's summary (`run_folder`): metrics from the figures of stretches, times, and the bag."""
import hashlib

import numpy as np

from atl_evaluation import provenance
from atl_evaluation.bag import Bag
from atl_evaluation.metrics.catalogue import METRICS
from atl_evaluation.metrics.statistics import bootstrap_interval, mean_of

LEAST_STRETCHES = 5  # of fewer a bootstrap knows next to nothing: of two its ends are just the two
REAL = "real_"  # before figures of motion that are against the reference video, not against what drove the frames

Figures = dict[str, list[tuple[int, dict[str, float]]]]
"""Way -> (frames, figures by name) of each stretch."""


def metrics_of(figures: Figures) -> dict[str, dict]:
    """The section `metrics`: means over stretches, each as heavy as it is long, with baselines beside the method.

    Of a figure that is best at 0, as a lag is, the mean is of its size: -8 and 8 aren't perfect. The note tells it with its sign.
    """
    found = {}
    for name in dict.fromkeys(name for _, row in figures.get("", []) for name in row):
        kind = METRICS.get(name.removeprefix(REAL))
        if kind is None:
            continue
        signed = kind.better == 0.0
        values, frames = _column(figures[""], name)
        sizes = np.abs(values) if signed else values
        low, high = bootstrap_interval(sizes, frames) if np.isfinite(sizes).sum() >= LEAST_STRETCHES else (np.nan, np.nan)
        notes = ["against the reference video"] if name.startswith(REAL) else []
        if signed and np.isfinite(values).any():
            notes.append(f"with its sign {mean_of(values, frames):+.2f}")
        baselines = {way: _column(rows, name) for way, rows in figures.items() if way}
        found[name] = {
            "value": mean_of(sizes, frames), "unit": kind.unit, "better": kind.better,
            "definition": kind.definition + (" Of several stretches: the mean of its size." if signed else ""),
            "source": kind.source, "interval": [low, high] if np.isfinite(low) else None, "note": "; ".join(notes) or None,
            "baselines": {way: mean_of(np.abs(column) if signed else column, weights)
                          for way, (column, weights) in baselines.items() if len(column)},
        }  # fmt: skip
    return found


def _column(rows: list[tuple[int, dict[str, float]]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A figure's values and the frames that they are of, of the stretches that have it."""
    pairs = [(row[name], frames) for frames, row in rows if name in row]
    values, frames = np.array(pairs, np.float64).reshape(-1, 2).T
    return values, frames


def times_of(rows: list[dict]) -> dict[str, dict[str, float]]:
    """The section `times_ms`: percentiles of the stages' times, ms a frame."""
    found = {}
    for name in ("landmark_ms", "render_ms"):
        values = [row[name] for row in rows if name in row]
        if values:
            found[name] = dict(zip(("p50", "p95", "p99", "max"), np.percentile(values, (50, 95, 99, 100)).round(2), strict=True))
    return found


def told(bag: Bag) -> dict:
    """The section `bag`."""
    digest = hashlib.sha256()
    for file in bag.files:
        digest.update(bytes.fromhex(provenance.sha256_of(file)))
    logged = [event.log_ns for event in bag.events]
    return {"path": str(bag.path), "sha256": digest.hexdigest(), "storage": sorted({file.suffix for file in bag.files}),
            "messages": {topic: count for topic, (_, count) in bag.topics.items()},
            "seconds": round((max(logged) - min(logged)) / 1e9, 3) if logged else 0.0}  # fmt: skip
