"""`atl evaluate`: a bag's frames made again without ROS and without a clock, judged, and told in a folder with a verdict."""

import argparse
import sys
from pathlib import Path

from atl_bringup.graph import all_parameters
from atl_bringup.parameter_file import read_parameters
from atl_diffusion_node.portrait import load_portrait
from atl_diffusion_node.process import prepare_process
from atl_evaluation.bag import read_bag
from atl_evaluation.evaluate import evaluate
from atl_evaluation.judge import Judge
from atl_evaluation.metrics.catalogue import METRICS
from atl_evaluation.reference import Reference
from atl_evaluation.run_folder import folder_to_write
from atl_evaluation.summary import REAL
from atl_evaluation.verdict import PASSED, default_conditions_path, read_conditions
from atl_evaluation.wording import bounds, figure
from atl_face.errors import UserError
from atl_face.files import existing_file

HEIGHT_PX = 512  # of a portrait that is given, as the graph's
EXIT_FAILED = 1


def add_parser(subparsers) -> None:
    """Adds `evaluate` to the `atl` command."""
    parser = subparsers.add_parser("evaluate", description=__doc__)
    parser.add_argument("bag", type=Path, help="a rosbag2: a folder, or one .mcap or .db3 file")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for frames.jsonl, summary.json, report.html")
    add_options(parser)
    parser.set_defaults(main=main)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `atl evaluate` and `atl replay` both take."""
    parser.add_argument("--conditions", type=Path, default=default_conditions_path(), metavar="YAML",
                        help="what must hold (%(default)s)")  # fmt: skip
    parser.add_argument("--portrait", type=Path, help="the face, where the bag has none")
    parser.add_argument("--reference", type=Path, metavar="VIDEO", help="how it truly looked, 25 frames a second")
    parser.add_argument("--driven-by", choices=("sound", "landmarks"), default="sound",
                        help="make landmarks anew, or draw those that were recorded (%(default)s)")  # fmt: skip
    parser.add_argument("--namespace", default="", help="of the face, where the bag has several")
    parser.add_argument("--params", type=Path, metavar="YAML", help="the nodes' parameters that aren't their defaults")
    parser.add_argument("--identity", action="store_true", help="embed faces, too (needs requirements/evaluation.txt)")


def options_of(chosen: argparse.Namespace, namespace: str) -> dict[str, object]:
    """The arguments of `atl_evaluation.evaluate.evaluate` that `add_options` asked for: files are read, and refused, here.
    namespace: of the bag's face, whose sections of the parameter file count."""
    path = existing_file(chosen.params, "parameter file") if chosen.params else None
    parameters = read_parameters(path, namespace) if path else {}
    all_parameters(parameters, namespace)  # refuses names that no node has
    conditions = read_conditions(chosen.conditions)
    for condition in conditions:
        name = condition.metric
        if "." not in name and name.removeprefix(REAL) not in METRICS:  # one with a point is a path into the summary
            raise UserError(f"{chosen.conditions} has a condition on {name!r}, which is no metric: there are "
                            f"{', '.join(METRICS)}.", "bad_conditions")  # fmt: skip
    return {"conditions": conditions, "parameters": parameters, "driven_by": chosen.driven_by,
            "judge": Judge(with_identity=chosen.identity),
            "portrait": load_portrait(chosen.portrait, HEIGHT_PX) if chosen.portrait else None,
            "reference": Reference.read(chosen.reference) if chosen.reference else None}  # fmt: skip


def main(chosen: argparse.Namespace) -> int:
    """The exit code is 0 if the verdict is `passed`, 1 if not."""
    prepare_process()
    out = folder_to_write(chosen.out)
    bag = read_bag(chosen.bag, chosen.namespace)
    summary = evaluate(bag, out, **options_of(chosen, bag.namespace))
    tell(summary, out)
    return 0 if summary["verdict"] == PASSED else EXIT_FAILED


def tell(summary: dict, out: Path) -> None:
    """The verdict in a few lines."""
    for problem in summary["problems"]:
        print(f"{problem['count']:5} x {problem['what']}", file=sys.stderr)
    for row in summary["conditions"]:
        print(f"{row['verdict']:12} {row['metric']:28} {figure(row['value']):>10}   {bounds(row)}")
    print(f"{summary['verdict']}: {summary['frames']['count']} frames; {out / 'report.html'}")
