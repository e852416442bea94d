"""The command `atl`: its sub-commands come from modules that offer `add_parser(subparsers)`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from atl_face.errors import UserError

# Each sets the default `main`, a function of the parsed arguments that returns the exit code.
COMMANDS = ("run", "render", "record", "evaluate", "replay", "compare", "bench")
EXIT_USER_ERROR, EXIT_INTERRUPTED = 2, 130
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded: its threads spin where the network works


def make_parser(commands: tuple[str, ...] = COMMANDS) -> argparse.ArgumentParser:
    """The parser with these sub-commands; only their modules are imported."""
    parser = argparse.ArgumentParser(prog="atl", description="ATL Avatar: a face for a robot.")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in commands:
        importlib.import_module(f"atl_bringup.{command}").add_parser(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; without a command it shows the help.

    A user's mistake is told in one sentence, with exit code 2.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    known = arguments and arguments[0] in COMMANDS
    parser = make_parser((arguments[0],) if known else COMMANDS)
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "main"):
        parser.print_help()
        return 0
    try:
        return chosen.main(chosen)
    except UserError as error:
        print(f"atl: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
