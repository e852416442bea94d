"""Two runs whose difference is known, and the command that tells it."""

import argparse
import copy
import json
import subprocess
import sys

import pytest

from atl_bringup.compare import add_parser
from atl_evaluation.compare import BETTER, CHANGED, LOST, NEW, NONE, OTHER, SAME, WORSE, compare, of_difference
from atl_evaluation.run_folder import new_summary, write_run
from atl_evaluation.verdict import Condition, judge
from atl_face.errors import UserError


def metric(value, better="higher", interval=None, **more):
    return {"value": value, "unit": "", "better": better, "definition": "", "source": "", "interval": interval, "note": None,
            "baselines": {}} | more  # fmt: skip


GOOD_ENOUGH = (Condition("gap", 0.8),)


def run(conditions=GOOD_ENOUGH, live=None, **metrics):
    made = new_summary(bag={"path": "bag", "sha256": "1"}, configuration={"steps": 1}, metrics=metrics, rows=[], live=live)
    return judge(made, list(conditions))


def change(a, b):
    [row] = compare(run(gap=a), run(gap=b))["metrics"]
    return row["change"]


@pytest.mark.parametrize("a, b, better, expected", [
    (0.80, 0.90, "higher", BETTER), (0.90, 0.80, "higher", WORSE), (0.80, 0.81, "higher", SAME),
    (0.80, 0.90, "lower", WORSE), (0.90, 0.80, "lower", BETTER),
    (0.80, 0.95, 1, BETTER), (0.95, 1.30, 1, WORSE), (1.2, 0.8, 1, SAME), (-2, 1, 0, BETTER),
    (10, 20, None, CHANGED), (10, 10.1, None, SAME), (0.0, 1e-12, "lower", SAME),
    (0.8, None, "higher", LOST), (None, 0.8, "higher", NEW), (None, None, "higher", NONE),
])  # fmt: skip
def test_without_intervals_the_tolerance_decides(a, b, better, expected):
    assert change(metric(a, better), metric(b, better)) == expected


def test_the_interval_of_the_difference():
    # symmetric intervals: half widths 3 and 4 give 5, as errors of independent figures add
    assert of_difference(metric(10, interval=[7, 13]), metric(20, interval=[16, 24])) == [5, 15]
    # the ends that face each other count for the low end: b's lower and a's upper
    assert of_difference(metric(10, interval=[10, 13]), metric(20, interval=[16, 20])) == [5, 10]
    assert of_difference(metric(10), metric(20, interval=[16, 24])) is None
    assert of_difference(metric(10, interval=[7, None]), metric(20, interval=[16, 24])) is None


def test_with_intervals_chance_decides():
    assert change(metric(0.80, interval=[0.77, 0.83]), metric(0.84, interval=[0.80, 0.88])) == SAME, "0.04 within 0.05"
    assert change(metric(0.80, interval=[0.77, 0.83]), metric(0.86, interval=[0.82, 0.90])) == BETTER, "0.06 is more, though "\
        "the intervals overlap"  # fmt: skip
    assert change(metric(0.800, interval=[0.7999, 0.8001]), metric(0.801, interval=[0.8009, 0.8011])) == BETTER, "below 2 %"


def test_another_definition_can_not_be_compared():
    assert change(metric(0.8), metric(0.9, definition="new")) == OTHER and change(metric(0.8), metric(90.0, unit="%")) == OTHER


def test_what_makes_it_worse():
    fine = run(gap=metric(0.9))
    assert not compare(fine, fine)["worse"]
    assert compare(fine, run())["worse"], "a figure that is left out"
    assert compare(fine, run(gap=metric(0.85)))["worse"]
    slow, fast = (run((Condition("live.p95_ms", at_most=30),), {"p95_ms": value}, gap=metric(0.9)) for value in (40, 20))
    result = compare(fast, slow)
    assert result["worse"] and result["verdict"] == {"a": "passed", "b": "failed"}
    assert result["conditions"] == [{"metric": "live.p95_ms", "at_least": None, "at_most": 30, "a": "passed", "b": "failed"}]
    assert result["timings"] == [{"metric": "live.p95_ms", "a": 20, "b": 40, "difference": 20}]
    assert not compare(slow, fast)["worse"]
    for optional, worse in ((True, False), (False, True)):
        rule = Condition("live.p95_ms", at_most=30, optional=optional)
        live, offline = run((*GOOD_ENOUGH, rule), {"p95_ms": 20}, gap=metric(0.9)), run((*GOOD_ENOUGH, rule), gap=metric(0.9))
        assert compare(live, offline)["worse"] is worse, "an offline run has no latency; that is a failure where it must have"
    stricter = run((Condition("gap", 0.85),), gap=metric(0.9))
    result = compare(fine, stricter)
    assert len(result["conditions"]) == 2 and not result["worse"], "other conditions are told, but are no step back"


def test_what_differs_is_told_and_load_is_not():
    a = run(gap=metric(0.9))
    b = copy.deepcopy(a)
    b["host"]["load_before"] = 99.0
    b["bag"]["path"] = "elsewhere"
    assert compare(a, b)["differs"] == []
    b["models"]["atl_diffusion_node/face/unet.onnx"] = "other"
    b["configuration"]["steps"] = 2
    network = "models.atl_diffusion_node/face/unet.onnx"
    assert [row["what"] for row in compare(a, b)["differs"]] == [network, "configuration.steps"]
    assert compare(a, b)["same_frames"] is None
    a["frames"]["sha256"] = b["frames"]["sha256"] = "1"
    assert compare(a, b)["same_frames"] is True


def atl(*arguments):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    chosen = parser.parse_args(["compare", *map(str, arguments)])
    return chosen.main(chosen)


def test_the_command(tmp_path, capsys):
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, value in ((a, 0.9), (b, 0.7)):
        folder.mkdir()
        write_run(folder, run(gap=metric(value)), [])
    assert atl(a, b, "--json", tmp_path / "c.json") == 0
    said = capsys.readouterr().out
    assert "worse" in said and "Verdict: A passed, B failed; something got worse." in said and "different bags" not in said
    assert json.loads((tmp_path / "c.json").read_text())["worse"] is True
    assert atl(a, b, "--fail-on-worse") == 1 and atl(b, a, "--fail-on-worse") == 0 and atl(a, a, "--fail-on-worse") == 0
    assert atl(a, b, "--fail-on-worse", "--tolerance", 30) == 1, "the verdict counts whatever the tolerance"
    with pytest.raises(UserError, match="no folder of an evaluation"):
        atl(a, tmp_path)
    with pytest.raises(UserError):
        atl(a, b, "--json", tmp_path / "nowhere" / "c.json")
    with pytest.raises(UserError, match="can't be written"):
        atl(a, b, "--json", "/dev/full")
    command = [sys.executable, "-m", "atl_bringup.cli", "compare", str(a), str(b)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # as `| head` does
        assert process.stderr.read() == "" and process.wait(30) == 0
    with pytest.raises(SystemExit):
        atl(a, b, "--tolerance", "-1")
