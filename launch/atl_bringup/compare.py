"""`atl compare A B`: what got better and what got worse from one evaluation to another.

Two figures are the same unless the 95 % interval of their difference leaves out zero or, where a run has no interval, they
differ by more than the tolerance. Exit code 0; with --fail-on-worse 1 where anything got worse or is no longer measured.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from atl_evaluation.compare import OTHER, TOLERANCE, compare
from atl_evaluation.run_folder import read_summary
from atl_evaluation.wording import bounds, figure
from atl_face.errors import UserError
from atl_face.files import file_to_write

WIDEST = 40  # letters of a column: hashes and paths are cut


def add_parser(subparsers) -> None:
    """Adds `compare` to the `atl` command."""
    parser = subparsers.add_parser("compare", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("a", type=Path, metavar="A", help="folder that `atl evaluate` or `atl replay` wrote")
    parser.add_argument("b", type=Path, metavar="B", help="the same of the run that is held against it")
    parser.add_argument("--tolerance", type=percent, default=100 * TOLERANCE, metavar="PERCENT",
                        help="up to which figures without an interval are the same (default: %(default)g)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the comparison there too")
    parser.add_argument("--fail-on-worse", action="store_true", help="exit code 1 where anything got worse")
    parser.set_defaults(main=main)


def percent(text: str) -> float:
    """The argparse type of 0 to 100."""
    if not 0 <= (value := float(text)) <= 100:
        raise argparse.ArgumentTypeError(f"{value:g} is not in 0..100")
    return value


def main(chosen: argparse.Namespace) -> int:
    target = file_to_write(chosen.json) if chosen.json else None
    result = compare(read_summary(chosen.a), read_summary(chosen.b), chosen.tolerance / 100)
    if target:
        try:
            target.write_text(json.dumps(result, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"{target} can't be written ({error.strerror}).", "unwritable") from error
    try:
        print(told(result), flush=True)
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or flushing at exit fails again
    return int(chosen.fail_on_worse and result["worse"])


def told(result: dict) -> str:
    """The comparison as tables that a person reads."""
    rows = [(row["metric"], row["a"], row["b"], row["difference"], _interval(row["interval"]), row["unit"], row["change"])
            for row in result["metrics"]]  # fmt: skip
    parts = [table(("figure", "A", "B", "B - A", "95 % interval", "unit", "B is"), rows)]
    if any(row["change"] == OTHER for row in result["metrics"]):
        parts.append(f"{OTHER}: the two runs mean different things by the name, and their figures can't be compared.")
    if result["timings"]:
        rows = [(row["metric"], row["a"], row["b"], row["difference"]) for row in result["timings"]]
        parts.append(table(("timing", "A", "B", "B - A"), rows))
    if result["conditions"]:
        rows = [(row["metric"], bounds(row), row["a"], row["b"]) for row in result["conditions"]]
        parts.append(table(("condition that changed", "bounds", "A", "B"), rows))
    if result["differs"]:
        parts.append(table(("what differs", "A", "B"), [tuple(row.values()) for row in result["differs"]]))
    if any(row["what"] == "bag.sha256" for row in result["differs"]):
        parts.append("These are runs of different bags: a difference may be the bags'.")
    if result["same_frames"]:
        parts.append("Both runs drew the same frames, to the bit.")
    parts.append(f"Verdict: A {result['verdict']['a']}, B {result['verdict']['b']}"
                 + ("; something got worse." if result["worse"] else "; nothing got worse."))  # fmt: skip
    return "\n\n".join(parts)


def _interval(ends: list[float] | None) -> str | None:
    return ends and f"[{figure(ends)}]"


def table(head: tuple[str, ...], rows: Iterable[tuple]) -> str:
    """Columns as wide as they must be, figures to the right."""
    rows = list(rows)
    cells = [list(head)] + [[_short(figure(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [any(isinstance(cell, (int, float)) for cell in column) for column in zip(*rows, strict=True)] or [False] * len(head)
    lines = ["  ".join(cell.rjust(width) if number else cell.ljust(width)
                       for cell, width, number in zip(line, widths, right, strict=True)).rstrip() for line in cells]  # fmt: skip
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
