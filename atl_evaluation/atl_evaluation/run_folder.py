"""The folder of an evaluation run: `frames.jsonl` (a JSON object a frame) and `summary.json`, which is read, too.

A frame's row; `index`, `stamp_s` and `face_found` are always there, the others where they were measured, else absent or null:

    index         of the frame in its run, from 0
    stamp_s       media time, s
    face_found    bool: the detector saw a face in the drawn frame
    stream, frame whose sound it was drawn for, and its index there
    gap_driven    lip gap of the landmarks that drove the frame, eye distances (`atl_face.topology.lip_gap`)
    gap_seen      the same as seen in the drawn frame
    gap_real      the same as seen in the reference video
    landmark_ms   the landmark stage's time for the frame
    render_ms     the renderer's
    latency_ms    live: from the arrival of the last sample that the frame needs to the frame's

The summary, format 1:

    format         1
    bag            {path, sha256, storage, messages: {topic: count}, seconds}
    code           {version, commit}; commit is null outside a git checkout
    models         {"package/file": SHA-256}
    host           {processor, cores, memory_gb, system, isa, python, load_before}
    middleware     name of the ROS middleware, null offline
    configuration  what was run: what drove the frames, runtime, parameters, picture size …
    frames         {count, missing_faces, sha256, lost_samples, landmarks_compared, landmarks_max_difference}: sha256 of all
                   drawn pixels; lost_samples of sound; frames whose landmarks were made anew from sound and lie in the bag,
                   too, and the largest difference of any coordinate, crop sides, null where there is none to compare
    times_ms       {landmark_ms, render_ms: {p50, p95, p99, max}} of the cores
    metrics        {name: {value, unit, better, definition, source, interval, note, baselines}}
                   value: null where it couldn't be measured; better: "higher", "lower", a number (the nearer the better) or
                   null (it only describes); interval: [low, high], 95 %, or null (of fewer than 5 stretches);
                   note: a few words or null;
                   baselines: {"ground truth": value, "still portrait": …, "warp only": …, "detector floor": …}
    live           figures of a replay, absent offline
    problems       [{what: a sentence, count}]
    conditions     [{metric, at_least, at_most, optional, value, verdict}], see `verdict`
    verdict        "passed" or "failed"
"""
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from atl_evaluation import provenance
from atl_face.errors import UserError

FORMAT = 1
SUMMARY, FRAMES, REPORT = "summary.json", "frames.jsonl", "report.html"
_SECTIONS = {"bag": dict, "code": dict, "models": dict, "host": dict, "configuration": dict, "frames": dict,
             "metrics": dict, "problems": list, "conditions": list, "verdict": str}  # fmt: skip
_METRIC = {"value", "unit", "better", "definition", "interval"}  # what comparing needs of a metric


def new_summary(*, bag: dict, configuration: dict, metrics: dict, rows: list[dict], problems: Iterable[dict] = (),
                live: dict | None = None, middleware: str | None = None) -> dict:  # fmt: skip
    """A summary without conditions and verdict (`verdict.judge` adds them); code, models and host are this run's."""
    frames = {"count": len(rows), "missing_faces": sum(not row["face_found"] for row in rows)}
    summary = {"format": FORMAT, "bag": bag, "code": provenance.code(), "models": provenance.models(),
               "host": provenance.host(), "middleware": middleware, "configuration": configuration, "frames": frames,
               "metrics": metrics, "problems": list(problems)}  # fmt: skip
    return summary if live is None else summary | {"live": live}


def folder_to_write(path: str | Path) -> Path:
    """The absolute path of a run's folder, made if it isn't there.

    Raises:
        UserError: it can't be made, or a file has its name (`unwritable`).
    """
    try:
        folder = Path(path).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"The folder {str(path)!r} can't be made ({error}).", "unwritable") from error
    return folder


def begin_run(path: str | Path) -> Path:
    """`folder_to_write`, without an older run's files: should this one fail, the old verdict would pass for its own."""
    folder = folder_to_write(path)
    try:
        for name in (SUMMARY, REPORT, FRAMES):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"The old {name} in {folder} can't be removed ({error.strerror}).", "unwritable") from error
    return folder


def write_run(folder: Path, summary: dict, rows: Iterable[dict]) -> None:
    """Write both files; the summary last: where it is, the run is whole. NaN and infinity become null, arrays lists.

    Raises:
        UserError: a file can't be written (`unwritable`).
    """
    try:
        with (folder / FRAMES).open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(_plain(row), allow_nan=False) + "\n")
        (folder / SUMMARY).write_text(json.dumps(_plain(summary), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"The run can't be written to {folder} ({error}).", "unwritable") from error


def _plain(value):
    """What JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def read_summary(folder: str | Path) -> dict:
    """The summary of a run's folder.

    Raises:
        UserError: it is no run's folder (`no_run`), or its summary is damaged or of another format (`bad_run`).
    """
    path = Path(folder).expanduser() / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{str(folder)!r} is no folder of an evaluation: it has no {SUMMARY} that can be read; "
                        "give the folder that `atl evaluate` or `atl replay` wrote.", "no_run") from error  # fmt: skip
    except ValueError as error:  # JSON and UTF-8
        raise UserError(f"{path} is damaged ({error}); evaluate the bag again.", "bad_run") from error
    found = summary.get("format") if isinstance(summary, dict) else None
    if found != FORMAT:
        raise UserError(f"{path} has format {found}, this version reads {FORMAT}; evaluate the bag again.", "bad_run")
    wrong = [name for name, kind in _SECTIONS.items() if not isinstance(summary.get(name), kind)]
    wrong = wrong or _damaged_entries(summary)
    if wrong:
        raise UserError(f"{path} is damaged: {', '.join(wrong)} missing or of the wrong kind; evaluate the bag again.",
                        "bad_run")  # fmt: skip
    return summary


def _damaged_entries(summary: dict) -> list[str]:
    """Names of the sections with an entry that isn't as above."""
    wrong = []
    if not all(isinstance(one, dict) and one.keys() >= _METRIC and _is_figure(one["value"]) and _is_interval(one["interval"])
               and (one["better"] in ("higher", "lower") or _is_figure(one["better"])) for one in summary["metrics"].values()):
        wrong.append("metrics")
    if not all(isinstance(one, dict) and isinstance(one.get("metric"), str) and isinstance(one.get("verdict"), str)
               and all(_is_figure(one.get(bound)) for bound in ("at_least", "at_most")) for one in summary["conditions"]):
        wrong.append("conditions")
    return wrong + [name for name in ("live", "times_ms") if not isinstance(summary.get(name, {}), dict)]


def _is_figure(value) -> bool:
    """A number, or null."""
    return value is None or isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_interval(value) -> bool:
    """Two figures, or null."""
    return value is None or isinstance(value, list) and len(value) == 2 and all(map(_is_figure, value))


def flat(section: dict, before: str = "") -> dict[str, object]:
    """Nested sections as one, names dotted as in conditions: {"latency": {"p95_ms": 27}} -> {"latency.p95_ms": 27}."""
    found = {}
    for name, value in section.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found
