"""A run's folder says what was written into it, and where it came from."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import atl_diffusion_node
from atl_evaluation import provenance
from atl_evaluation.run_folder import (
    FRAMES,
    SUMMARY,
    begin_run,
    flat,
    folder_to_write,
    new_summary,
    read_summary,
    write_run,
)
from atl_evaluation.verdict import Condition, judge
from atl_face.errors import UserError

ROWS = [{"index": 0, "stamp_s": 0.0, "face_found": np.bool_(True), "gap_seen": np.float32(0.5)},
        {"index": 1, "stamp_s": 0.04, "face_found": False, "gap_seen": float("nan")}]  # fmt: skip


def a_summary():
    metrics = {"gap": {"value": np.float64(0.5), "unit": "", "better": 1, "definition": "", "source": "",
                       "interval": (0.4, float("inf")), "note": None, "baselines": {"warp only": np.float32(0.25)}}}  # fmt: skip
    bag = {"path": Path("x.mcap"), "messages": {"/robot_face/audio": np.int64(3)}}
    return judge(new_summary(bag=bag, configuration={"steps": 1}, metrics=metrics, rows=ROWS), [Condition("gap", 0.5)])


def test_what_is_written_is_read(tmp_path):
    folder = folder_to_write(tmp_path / "a" / "run")
    write_run(folder, a_summary(), ROWS)
    summary = read_summary(folder)
    assert summary["metrics"]["gap"]["value"] == 0.5 and summary["metrics"]["gap"]["interval"] == [0.4, None]
    assert summary["metrics"]["gap"]["baselines"] == {"warp only": 0.25}
    assert summary["bag"] == {"path": "x.mcap", "messages": {"/robot_face/audio": 3}}
    assert summary["frames"] == {"count": 2, "missing_faces": 1} and summary["verdict"] == "passed"
    assert "live" not in summary, "an offline run has none"
    rows = [json.loads(line) for line in (folder / FRAMES).read_text().splitlines()]
    assert rows == [{"index": 0, "stamp_s": 0.0, "face_found": True, "gap_seen": 0.5},
                    {"index": 1, "stamp_s": 0.04, "face_found": False, "gap_seen": None}]  # fmt: skip
    assert begin_run(folder) == folder
    with pytest.raises(UserError, match="no folder of an evaluation"):
        read_summary(folder)  # a new run's verdict isn't the old one's


def test_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="no folder of an evaluation"):
        read_summary(tmp_path)
    (tmp_path / SUMMARY).write_text('{"format": 1, "bag"')
    with pytest.raises(UserError, match="damaged"):
        read_summary(tmp_path)
    (tmp_path / SUMMARY).write_text('{"format": 99}')
    with pytest.raises(UserError, match="format 99"):
        read_summary(tmp_path)
    whole = json.loads(json.dumps(a_summary(), default=str))
    (tmp_path / SUMMARY).write_text(json.dumps(whole | {"metrics": {"gap": 0.5}, "host": []}))
    with pytest.raises(UserError, match="host missing or of the wrong kind"):
        read_summary(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be made"):
        folder_to_write(tmp_path / "file")


@pytest.mark.parametrize("section, damaged", [
    ("metrics", lambda s: s["metrics"]["gap"].pop("unit")), ("metrics", lambda s: s["metrics"]["gap"].update(value="high")),
    ("metrics", lambda s: s["metrics"]["gap"].update(value=True)), ("metrics", lambda s: s["metrics"]["gap"].update(better="up")),
    ("metrics", lambda s: s["metrics"]["gap"].update(interval=[1])), ("metrics", lambda s: s["metrics"].update(gap=0.5)),
    ("conditions", lambda s: s["conditions"].append({})), ("conditions", lambda s: s["conditions"].append("gap")),
    ("live", lambda s: s.update(live=3)),
])  # fmt: skip
def test_a_damaged_summary_is_told_with_the_section(tmp_path, section, damaged):
    write_run(tmp_path, a_summary(), [])
    summary = read_summary(tmp_path)
    damaged(summary)
    (tmp_path / SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(UserError, match=f"is damaged: {section} missing or of the wrong kind"):
        read_summary(tmp_path)


def test_where_figures_come_from(tmp_path):
    host = provenance.host()
    assert host["cores"] >= 1 and host["memory_gb"] > 0 and host["processor"]
    network = Path(atl_diffusion_node.__file__).parent / "data" / "face" / "unet.onnx"
    assert provenance.models()["atl_diffusion_node/face/unet.onnx"] == hashlib.sha256(network.read_bytes()).hexdigest()
    assert provenance.code()["version"][0].isdigit()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_a_copy_in_somebody_elses_checkout_has_no_commit(tmp_path):
    copy = tmp_path / "copy.py"
    copy.touch()
    assert provenance._commit(copy) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    assert provenance._commit(copy) is None
    subprocess.run([*git, "add", "copy.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "ours"], check=True)
    commit = provenance._commit(copy)
    assert len(commit) == 40
    copy.write_text("changed")
    assert provenance._commit(copy) == commit + "-dirty"


def test_flat_names_are_those_of_conditions():
    assert flat({"latency": {"p95_ms": 27, "deep": {"er": [1]}}, "frames": 3}) == {
        "latency.p95_ms": 27, "latency.deep.er": [1], "frames": 3}  # fmt: skip
