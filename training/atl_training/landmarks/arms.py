"""Trainings beside each other: look-ahead, sync critic or encoder, and `stream` beside `kflm`, each with its own recipe.

    python -m atl_training.landmarks.arms RUN... [--arm NAME MS FOLDER]... --out docs/landmark_arms.json

Reads the metrics.json of each run of `landmarks.train`: held-out figures of its best look. tools/landmarks_page.py makes tables.
"""
import argparse
import json
from pathlib import Path

from atl_face.errors import UserError
from atl_landmark_node.model import STYLES
from atl_training.landmarks.models import LOG_MEL, SYNC_LOSS
from atl_training.tool import run_tool

KFLM, STREAM = "kflm", "stream"
WITHOUT_SYNC = "nosync"  # in the name of an older run that had no critic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*", help="folders of runs that tell their arguments")
    parser.add_argument("--arm", nargs=3, action="append", default=[], metavar=("NAME", "MS", "FOLDER"),
                        help="an older run that doesn't: its look-ahead; `kflm` and `nosync` are told by the folder's name")
    parser.add_argument("--steps", type=int, help="that the older runs were trained")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    rows = [row_of(run, run.name) for run in chosen.runs]
    for name, ms, folder in chosen.arm:
        rows.append(row_of(Path(folder), name, told_by_name(Path(folder).name, ms, chosen.steps)))
    if not rows:
        raise UserError("Name a run, or give --arm.")
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


def told_by_name(folder: str, ms: str, steps: int | None) -> dict:
    """Arguments of a run that doesn't tell them."""
    if not ms.isdecimal():
        raise UserError(f"{ms} is no look-ahead in whole milliseconds.")
    model = KFLM if KFLM in folder else STREAM
    return {"model": model, "lookahead": int(ms), "sync": 0.0 if WITHOUT_SYNC in folder else None, "steps": steps}


def row_of(run: Path, name: str, arguments: dict | None = None) -> dict:
    """A run's line: `name`, `model`, `encoder`, `lookahead_ms` and `sync` (None for kflm: it hears the whole utterance, without
    a critic; 0 for a `stream` without one), `steps` trained (None: not known), `best_step`, `hours` to the best look, and the
    network's figures for each style.

    Args:
        arguments: of a run whose metrics.json has none; what metrics.json says goes before.

    Raises:
        UserError: there are no metrics, or no arguments.
    """
    try:
        metrics = json.loads((run / "metrics.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{run} has no metrics.json that can be read: training writes it at its first look.") from error
    told = metrics.get("arguments") or arguments
    if not told:
        raise UserError(f"{run} doesn't tell its arguments: use --arm NAME MS {run}.")
    stream = told["model"] == STREAM
    sync = SYNC_LOSS if told["sync"] is None else told["sync"]
    return {"name": name, "model": told["model"], "encoder": told.get("encoder", LOG_MEL),
            "lookahead_ms": told["lookahead"] if stream else None, "sync": sync if stream else None, "steps": told["steps"],
            "best_step": metrics["step"], "hours": metrics["hours"],
            **{style: metrics[style]["net"] for style in STYLES if style in metrics}}  # fmt: skip


if __name__ == "__main__":
    run_tool(main)
