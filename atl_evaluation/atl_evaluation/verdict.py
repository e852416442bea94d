"""The verdict on a run: conditions from a YAML file, held against the run's summary.

    conditions:
      - metric: gap_correlation       # a metric's name, or a dotted path into the summary: live.latency.p95_ms
        at_least: 0.8                 # a bound or both; bounds are included
      - metric: live.latency.p95_ms
        at_most: 40
        optional: true                # not measured is then no failure

What isn't measured fails: a run doesn't pass by leaving out what it is bad at.
"""
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from atl_face.errors import UserError
from atl_face.files import existing_file

PASSED, FAILED, NOT_MEASURED = "passed", "failed", "not measured"
KEYS = ("metric", "at_least", "at_most", "optional")


@dataclass(frozen=True)
class Condition:
    """A bound or two on a figure of the summary; None is no bound."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    optional: bool = False

    def judge(self, value: float | None) -> str:
        """PASSED, FAILED or NOT_MEASURED."""
        if value is None:
            return NOT_MEASURED
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return PASSED if low <= value <= high else FAILED


def default_conditions_path() -> Path:
    """The shipped conditions."""
    return Path(str(resources.files(__package__) / "data" / "conditions.yaml"))


def judge(summary: dict, conditions: list[Condition]) -> dict:
    """The summary with `conditions` (a row each: metric, bounds, value, verdict) and the `verdict` over all.

    It passes if no condition failed or lacked its figure (unless that is optional) and at least one passed.
    """
    rows = []
    for condition in conditions:
        value = value_of(summary, condition.metric)
        bounds = {name: bound for name in ("at_least", "at_most") if (bound := getattr(condition, name)) is not None}
        bounds |= {"optional": True} if condition.optional else {}
        rows.append({"metric": condition.metric} | bounds | {"value": value, "verdict": condition.judge(value)})
    counted = [row["verdict"] for row in rows if row["verdict"] != NOT_MEASURED or not row.get("optional")]
    passed = bool(counted) and all(verdict == PASSED for verdict in counted)
    return summary | {"conditions": rows, "verdict": PASSED if passed else FAILED}


def value_of(summary: dict, name: str) -> float | None:
    """The figure of this name: a metric's value, or what a dotted path leads to; None if that is no finite number."""
    found = summary
    for part in ("metrics", name, "value") if name in summary["metrics"] else name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    number = isinstance(found, (int, float)) and not isinstance(found, bool) and math.isfinite(found)
    return found if number else None


def read_conditions(path: str | Path) -> list[Condition]:
    """The conditions of a YAML file.

    Raises:
        UserError: there is no such file (`no_file`), it can't be read (`unreadable`), or it isn't as above
            (`bad_conditions`): file, line and what is wrong in one sentence.
    """
    path = existing_file(path, "file of conditions")
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
    except (OSError, UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise UserError(f"{path} can't be read as text ({error}).", "unreadable") from error
    except yaml.MarkedYAMLError as error:
        raise _wrong(path, error.problem_mark, f"this is no YAML: {error.problem}") from error
    return _Reader(path, loader).conditions(root)


def _wrong(path: Path, mark: yaml.Mark | None, what: str) -> UserError:
    place = f", line {mark.line + 1}" if mark else ""
    return UserError(f"{path}{place}: {what}.", "bad_conditions")


class _Reader:
    """YAML nodes, which know their lines, to conditions."""

    def __init__(self, path: Path, loader: yaml.SafeLoader):
        self._path, self._loader = path, loader

    def conditions(self, root: yaml.Node | None) -> list[Condition]:
        entries = self._entries(root, ("conditions",), "the file") if root else {}
        listed = entries.get("conditions")
        if not isinstance(listed, yaml.SequenceNode) or not listed.value:
            mark = (listed or root).start_mark if listed or root else None
            raise _wrong(self._path, mark, "a list `conditions:` with at least one condition is needed")
        return [self._condition(node) for node in listed.value]

    def _entries(self, node: yaml.Node, known: tuple[str, ...], what: str) -> dict[str, yaml.Node]:
        """The values of a mapping by key, each once and known."""
        if not isinstance(node, yaml.MappingNode):
            raise _wrong(self._path, node.start_mark, f"{what} must be made of {', '.join(f'`{key}:`' for key in known)}")
        found = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value not in known:
                name = repr(key.value) if isinstance(key, yaml.ScalarNode) else "what is here"
                raise _wrong(self._path, key.start_mark, f"{name} is not known here; known: {', '.join(known)}")
            if key.value in found:
                raise _wrong(self._path, key.start_mark, f"{key.value} is given twice")
            found[key.value] = value
        return found

    def _condition(self, node: yaml.Node) -> Condition:
        entries = self._entries(node, KEYS, "a condition")
        metric = self._value(entries.get("metric"))
        if not isinstance(metric, str) or not metric:
            raise _wrong(self._path, node.start_mark, "a condition needs `metric:` with the name of a figure")
        low, high = (self._number(entries[name], name) if name in entries else None for name in ("at_least", "at_most"))
        if low is None and high is None:
            raise _wrong(self._path, node.start_mark, f"the condition on {metric} needs `at_least:` or `at_most:`")
        if low is not None and high is not None and low > high:
            raise _wrong(self._path, node.start_mark, f"at_least {low:g} is above at_most {high:g}: no {metric} can pass")
        optional = self._value(entries["optional"]) if "optional" in entries else False
        if not isinstance(optional, bool):
            raise _wrong(self._path, entries["optional"].start_mark, "optional must be true or false")
        return Condition(metric, low, high, optional)

    def _value(self, node: yaml.Node | None):
        """The scalar of a node, None of any other."""
        try:
            return self._loader.construct_object(node) if isinstance(node, yaml.ScalarNode) else None
        except (yaml.YAMLError, ValueError) as error:  # an unknown tag; a date that is none
            raise _wrong(self._path, node.start_mark, f"{node.value!r} can't be read") from error

    def _number(self, node: yaml.Node, name: str) -> float:
        value = self._value(node)
        try:  # YAML 1.1 takes 1e-3 for a text
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise _wrong(self._path, node.start_mark, f"{name} must be a number")
        return number
