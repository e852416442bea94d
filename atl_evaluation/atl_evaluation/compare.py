"""Two runs side by side: what got better, what got worse, and whether they may be compared at all."""
import math

from atl_evaluation.run_folder import flat
from atl_evaluation.verdict import FAILED, NOT_MEASURED, PASSED

BETTER, WORSE, SAME = "better", "worse", "same"
CHANGED = "changed"  # by more than chance or tolerance, of a figure that only describes
LOST, NEW, OTHER, NONE = "no longer measured", "only in B", "other definition", "not measured"
TOLERANCE = 0.02
"""Without intervals: relative to the larger of both, up to which two figures are the same. A convention, not a measurement: one
clip has no interval over clips. Timings of a busy machine want more."""
NOISE = 1e-9  # of floating point: about a figure of 0 nothing is relative
MADE_OF = ("bag", "code", "models", "configuration", "host", "middleware")
PASSING = ("host.load_before", "bag.path")  # may differ without a word


def compare(a: dict, b: dict, tolerance: float = TOLERANCE) -> dict:
    """What changed from run A to run B.

    Args:
        a, b: summaries as `run_folder` describes them.
        tolerance: see TOLERANCE.

    Returns:
        metrics: a row each: {metric, unit, better, a, b, difference (b - a), interval (of the difference, 95 %, or None),
            by ("interval", "tolerance" or None), change}; change is BETTER, WORSE, SAME, CHANGED, LOST, NEW, OTHER or NONE.
        timings: {metric, a, b, difference} of live figures and the cores' times, not judged: they are the machine's, too; put
            a condition on those that matter.
        conditions: {metric, at_least, at_most, a, b}, the verdicts, where they differ; None where a run lacks the condition.
        verdict: {a, b}.
        differs: {what, a, b}, a row for each difference of bag, code, networks, configuration, host and middleware.
        same_frames: whether both drew the same pixels, to the bit; None where it isn't known.
        worse: whether anything got worse: a metric, one that is no longer measured, a condition or the verdict that A passed.
            A condition that is optional and isn't measured in B is none.
    """
    names = dict.fromkeys([*a["metrics"], *b["metrics"]])
    metrics = [_metric(name, a["metrics"].get(name), b["metrics"].get(name), tolerance) for name in names]
    conditions = _conditions(a, b)
    verdict = {"a": a["verdict"], "b": b["verdict"]}
    optional = {_key(row) for row in b["conditions"] if row.get("optional")}
    worse = (any(row["change"] in (WORSE, LOST) for row in metrics)
             or any(row["a"] == PASSED and row["b"] == FAILED for row in [*conditions, verdict])
             or any(row["a"] == PASSED and row["b"] == NOT_MEASURED and _key(row) not in optional
                    for row in conditions))  # fmt: skip
    pixels = [run["frames"].get("sha256") for run in (a, b)]
    same = pixels[0] == pixels[1] if all(pixels) else None
    return {"metrics": metrics, "timings": _timings(a, b), "conditions": conditions, "verdict": verdict,
            "differs": _differs(a, b), "same_frames": same, "worse": worse}  # fmt: skip


def _metric(name: str, a: dict | None, b: dict | None, tolerance: float) -> dict:
    known = b or a
    old, new = (metric["value"] if metric else None for metric in (a, b))
    row = {"metric": name, "unit": known["unit"], "better": known["better"], "a": old, "b": new, "difference": None,
           "interval": None, "by": None}  # fmt: skip
    if old is None or new is None:
        return row | {"change": LOST if old is not None else NEW if new is not None else NONE}
    if any(a[part] != b[part] for part in ("unit", "better", "definition")):
        return row | {"change": OTHER}
    interval = of_difference(a, b)
    if interval:
        low, high = interval
        differs = low > 0 or high < 0
    else:
        differs = abs(new - old) > max(tolerance * max(abs(old), abs(new)), NOISE)
    change = SAME if not differs else _direction(old, new, known["better"])
    return row | {"difference": new - old, "interval": interval, "by": "interval" if interval else "tolerance", "change": change}


def of_difference(a: dict, b: dict) -> list[float] | None:
    """The 95 % interval of b - a from the intervals of both, None without one of them.

    The square-and-add rule for independent estimates (Zou and Donner, "Construction of confidence limits about effect
    measures", 2008). Runs over the same clips go up and down together: the true interval is then narrower, so that a small
    change may be called the same, hardly ever the other way round.
    """
    if not a["interval"] or not b["interval"]:
        return None
    (low_a, high_a), (low_b, high_b) = a["interval"], b["interval"]
    if any(end is None for end in (low_a, high_a, low_b, high_b)):
        return None
    old, new = a["value"], b["value"]
    return [new - old - math.hypot(new - low_b, high_a - old), new - old + math.hypot(high_b - new, old - low_a)]


def _direction(old: float, new: float, better: str | float | None) -> str:
    """BETTER or WORSE of two figures that differ; CHANGED where no way is better."""
    if better is None:
        return CHANGED
    if better not in ("higher", "lower"):  # the nearer to this number the better
        old, new = -abs(old - better), -abs(new - better)
    elif better == "lower":
        old, new = -old, -new
    return BETTER if new > old else WORSE if new < old else SAME


def _timings(a: dict, b: dict) -> list[dict]:
    old, new = ({name: value for name, value in flat({part: run.get(part, {}) for part in ("times_ms", "live")}).items()
                 if isinstance(value, (int, float))} for run in (a, b))  # fmt: skip
    return [{"metric": name, "a": old.get(name), "b": new.get(name),
             "difference": new[name] - old[name] if name in old and name in new else None}
            for name in dict.fromkeys([*old, *new])]  # fmt: skip


def _conditions(a: dict, b: dict) -> list[dict]:
    old, new = ({_key(row): row["verdict"] for row in run["conditions"]} for run in (a, b))
    return [{"metric": key[0], "at_least": key[1], "at_most": key[2], "a": old.get(key), "b": new.get(key)}
            for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]  # fmt: skip


def _key(row: dict) -> tuple:
    """What makes two conditions the same."""
    return row["metric"], row.get("at_least"), row.get("at_most")


def _differs(a: dict, b: dict) -> list[dict]:
    old, new = (flat({part: run.get(part) for part in MADE_OF}) for run in (a, b))
    return [{"what": name, "a": old.get(name), "b": new.get(name)} for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name) and name not in PASSING]  # fmt: skip
