"""The command `atl`: its sub-commands come from modules that offer `add_parser(subparsers)`."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys

from atl_face.errors import UserError

# Sub-command -> what `atl --help` says of it. Its module sets the default `main`, a function of the parsed arguments that returns
# the exit code.
COMMANDS = {"run": "start the whole graph", "render": "a clip from a sound file and a portrait, offline, without ROS",
            "say": "let the running face say a text or a sound file", "face": "give the running face another portrait",
            "interrupt": "silence the running face at once",
            "record": "record the live graph as a bag", "evaluate": "judge a recorded bag",
            "replay": "play a bag into the live graph and judge it", "compare": "lay two evaluated runs side by side",
            "bench": "measure renderer and graph on this machine"}  # fmt: skip
EXIT_USER_ERROR, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded: its threads spin where the network works


def make_parser(loaded: tuple[str, ...] = ()) -> argparse.ArgumentParser:
    """The parser. Only the modules of the sub-commands that are loaded are imported: the others are no more than named."""
    parser = argparse.ArgumentParser(prog="atl", description="ATL Avatar: a face for a robot.")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command, about in COMMANDS.items():
        if command in loaded:
            importlib.import_module(f"atl_bringup.{command}").add_parser(subparsers)
        else:
            subparsers.add_parser(command, help=about)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; without a command it shows the help.

    A user's mistake is told in one sentence, with exit code 2.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        parser = make_parser(tuple(arguments[:1]))
        chosen = parser.parse_args(arguments)
        if not hasattr(chosen, "main"):
            parser.print_help()
            return 0
        return chosen.main(chosen)
    except UserError as error:
        print(f"atl: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except ModuleNotFoundError as error:
        print(f"atl: `atl {arguments[0]}` needs the Python module {error.name}, which isn't installed: run `make setup`, or look "
              "into the table of packages in docs/ros2.md.", file=sys.stderr)  # fmt: skip
        return EXIT_USER_ERROR
    except Terminated:
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


class Terminated(KeyboardInterrupt):
    """SIGTERM came: as with Ctrl-C, what was begun is ended in order."""


def _terminate(*_) -> None:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
