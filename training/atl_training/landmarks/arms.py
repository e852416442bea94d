"""Trainings beside each other: look-ahead, sync critic or encoder, and `stream` beside `kflm`, each with its own recipe.

    python -m atl_training.landmarks.arms RUN... --out docs/landmark_arms.json

Reads the metrics.json of each run of `landmarks.train`: held-out figures of its best look. For tools/landmark_arms_page.py.
"""
import argparse
import json
from pathlib import Path

from atl_face.errors import UserError
from atl_landmark_node.model import STYLES
from atl_training.landmarks.models import LOG_MEL, SYNC_LOSS
from atl_training.tool import run_tool

STREAM = "stream"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    rows = [row_of(run) for run in chosen.runs]
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


def row_of(run: Path) -> dict:
    """A run's line: `name`, `model`, `encoder`, `lookahead_ms` and `sync` (None for kflm: it hears the whole utterance, without
    a critic; 0 for a `stream` without one), `steps` trained, `best_step`, `hours` to the best look, and the
    network's figures for each style.

    Raises:
        UserError: there are no metrics.
    """
    try:
        metrics = json.loads((run / "metrics.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{run} has no metrics.json that can be read: training writes it at its first look.") from error
    told = metrics["arguments"]
    stream = told["model"] == STREAM
    sync = SYNC_LOSS if told["sync"] is None else told["sync"]
    return {"name": run.name, "model": told["model"], "encoder": told.get("encoder", LOG_MEL),
            "lookahead_ms": told["lookahead"] if stream else None, "sync": sync if stream else None, "steps": told["steps"],
            "best_step": metrics["step"], "hours": metrics["hours"],
            **{style: metrics[style]["net"] for style in STYLES if style in metrics}}  # fmt: skip


if __name__ == "__main__":
    run_tool(main)
