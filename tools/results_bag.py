"""Write docs/bag.json: the live graph says the shipped speech, which is recorded, evaluated, replayed.

    .venv/bin/atl-python tools/results_bag.py FOLDER

FOLDER keeps the bag and both runs' reports; those of a time before are replaced. Nothing else should be running: figures of
the live graph are the machine's, too.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from atl_evaluation.verdict import PASSED

TARGET = Path(__file__).resolve().parent.parent / "docs" / "bag.json"
RECORD_S = 180  # for a graph to come up, to say 15 s, and to be recorded, on a busy machine
HEARERS = {"/**/audio": {"ros__parameters": {"min_subscribers": 3}}}  # the recorder, too, hears the first word
VERDICTS = (0, 1)  # exit codes of a run that was made, whatever is said of it
BASELINES = ("still portrait", "warp only", "detector floor")
METRICS = ("gap_correlation", "gap_amplitude", "gap_lag", "m_lmd", "f_lmd", "m_lvd", "lse_c", "lse_d", "sync_offset", "flicker",
           "blink_rate")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("talk", "run", "live"):
        shutil.rmtree(folder / name, ignore_errors=True)
    told = record(folder)
    for command, out in (("evaluate", "run"), ("replay", "live")):
        code = subprocess.run(atl(command, folder / "talk", "--out", folder / out)).returncode
        if code not in VERDICTS:
            sys.exit(f"atl {command} couldn't judge the bag: read what stands above.")
    offline, live = (json.loads((folder / name / "summary.json").read_text()) for name in ("run", "live"))
    figures = {"host": live["host"], "record": {name: told[name] for name in ("seconds", "mb", "mb_per_minute")},
               "offline": main_figures(offline), "live": main_figures(live) | {"live": live["live"]}}  # fmt: skip
    TARGET.write_text(json.dumps(figures, indent=1) + "\n")


def atl(*words: object) -> list[str]:
    return [sys.executable, "-m", "atl_bringup.cli", *map(str, words)]


def record(folder: Path) -> dict:
    """The bag FOLDER/talk of the shipped speech, from before the graph's start to the end; the recorder's figures."""
    parameters = folder / "params.yaml"
    parameters.write_text(yaml.safe_dump(HEARERS))
    environment = os.environ | {"ROS_DOMAIN_ID": str(120 + os.getpid() % 80)}  # away from a face that is running
    recorder = subprocess.Popen(atl("record", "--out", folder / "talk", "--until-end"), env=environment,
                                stdout=subprocess.PIPE, text=True)  # fmt: skip
    graph = subprocess.Popen(atl("run", "--display", "none", "--no-loop", "--params", parameters), env=environment,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        said, _ = recorder.communicate(timeout=RECORD_S)
    finally:
        graph.terminate()
        recorder.kill()
        graph.wait()
    if recorder.returncode:
        sys.exit("The graph couldn't be recorded: read what stands above.")
    return json.loads(said)


def main_figures(summary: dict) -> dict:
    """What docs/results.md tells of a run."""
    rows = {name: {"value": metric["value"]} | {way: metric["baselines"].get(way) for way in BASELINES}
            for name in METRICS if (metric := summary["metrics"].get(name))}  # fmt: skip
    verdicts = [row["verdict"] for row in summary["conditions"]]
    return {"verdict": summary["verdict"], "conditions": len(verdicts), "conditions_passed": verdicts.count(PASSED),
            "driven_by": summary["configuration"]["driven_by"], "frames": summary["frames"], "times_ms": summary["times_ms"],
            "metrics": rows}  # fmt: skip


if __name__ == "__main__":
    main()
