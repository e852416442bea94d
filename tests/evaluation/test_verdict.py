"""Conditions and what they say about a summary whose figures are known."""

import pytest

from atl_evaluation.verdict import (
    FAILED,
    NOT_MEASURED,
    PASSED,
    Condition,
    default_conditions_path,
    judge,
    read_conditions,
    value_of,
)
from atl_face.errors import UserError

SUMMARY = {
    "metrics": {"gap": {"value": 0.8}, "lost": {"value": None}, "odd.name": {"value": 3.0}, "broken": {"value": float("nan")}},
    "frames": {"missing_faces": 2},
    "live": {"latency": {"p95_ms": 27.5}, "middleware": "dds", "matched": True},
}


def verdicts(*conditions):
    return [row["verdict"] for row in judge(SUMMARY, list(conditions))["conditions"]]


def test_bounds_are_included_and_names_reach_into_sections():
    assert verdicts(Condition("gap", 0.8), Condition("gap", at_most=0.8), Condition("gap", 0.1, 0.9)) == [PASSED] * 3
    assert verdicts(Condition("gap", 0.81), Condition("gap", at_most=0.79), Condition("gap", 0.9, 1.0)) == [FAILED] * 3
    assert verdicts(Condition("live.latency.p95_ms", at_most=30)) == [PASSED]
    assert verdicts(Condition("frames.missing_faces", at_most=0)) == [FAILED]
    assert value_of(SUMMARY, "odd.name") == 3.0, "a metric's own name goes before a path"


@pytest.mark.parametrize("name", ["lost", "broken", "nobody", "live.middleware", "live.matched", "live.latency", "gap.value"])
def test_what_is_no_figure_is_not_measured(name):
    assert verdicts(Condition(name, at_least=0)) == [NOT_MEASURED]


@pytest.mark.parametrize("conditions, expected", [
    ([Condition("gap", 0.5)], PASSED),
    ([Condition("gap", 0.5), Condition("gap", 0.9)], FAILED),
    ([Condition("gap", 0.5), Condition("lost", 0.5)], FAILED),
    ([Condition("gap", 0.5), Condition("lost", 0.5, optional=True)], PASSED),
    ([Condition("gap", 0.9, optional=True)], FAILED),
    ([Condition("lost", 0.5, optional=True)], FAILED),  # nothing was measured: nothing is known
])  # fmt: skip
def test_the_verdict_over_all(conditions, expected):
    assert judge(SUMMARY, conditions)["verdict"] == expected


def test_a_row_tells_bounds_value_and_verdict():
    [row] = judge(SUMMARY, [Condition("gap", at_most=1.0, optional=True)])["conditions"]
    assert row == {"metric": "gap", "at_most": 1.0, "optional": True, "value": 0.8, "verdict": PASSED}


def test_conditions_of_a_file(tmp_path):
    path = tmp_path / "c.yaml"
    second = "  - metric: live.x\n    at_most: 0\n    optional: yes\n"
    path.write_text("conditions:\n  - {metric: gap, at_least: 1e-3, at_most: 2}\n" + second)
    assert read_conditions(path) == [Condition("gap", 0.001, 2.0), Condition("live.x", at_most=0.0, optional=True)]
    assert len(read_conditions(default_conditions_path())) >= 3


GOOD = "conditions:\n  - metric: gap\n    at_least: 1\n"


@pytest.mark.parametrize("text, line, word", [
    ("conditions: [\n  1,\n", 3, "YAML"),
    ("", None, "conditions"),
    ("- metric: gap\n", 1, "conditions"),
    ("conditions: []\n", 1, "at least one"),
    (GOOD + "rules: 1\n", 4, "'rules' is not known"),
    (GOOD + "    atmost: 1\n", 4, "'atmost' is not known"),
    (GOOD + "    at_least: 2\n", 4, "twice"),
    (GOOD + "  - at_least: 2\n", 4, "metric"),
    (GOOD + "  - metric: [gap]\n    at_least: 2\n", 4, "metric"),
    (GOOD + "  - metric: lag\n", 4, "at_least"),
    (GOOD + "  - just a text\n", 4, "must be made of"),
    (GOOD + "  - metric: lag\n    at_least: much\n", 5, "number"),
    (GOOD + "  - metric: lag\n    at_least: .nan\n", 5, "number"),
    (GOOD + "  - metric: lag\n    at_least: true\n", 5, "number"),
    (GOOD + "  - metric: lag\n    at_least: 2\n    at_most: 1\n", 4, "above"),
    (GOOD + "    optional: perhaps\n", 4, "true or false"),
    (GOOD + "    optional: !!python/object:os.system x\n", 4, "can't be read"),
    (GOOD + "--- 2\n", 4, "YAML"),
])  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(tmp_path, text, line, word):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as told:
        read_conditions(path)
    sentence = str(told.value)
    assert str(path) in sentence and word in sentence and "\n" not in sentence
    assert line is None or f"line {line}:" in sentence, sentence


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="no file of conditions"):
        read_conditions(tmp_path / "nowhere.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff\x00")
    with pytest.raises(UserError, match="as text"):
        read_conditions(tmp_path / "picture.yaml")
    (tmp_path / "control.yaml").write_bytes(b"conditions: \x01\n")
    with pytest.raises(UserError, match="as text"):
        read_conditions(tmp_path / "control.yaml")
