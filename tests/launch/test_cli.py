"""The command `atl`: what it says of itself, of what it lacks, and how it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from atl_bringup import arguments, compare
from atl_bringup.cli import COMMANDS, main


def without(module: str, *words: str) -> subprocess.CompletedProcess:
    """`atl` where a module isn't installed."""
    program = f"import sys; sys.modules[{module!r}] = None; from atl_bringup import cli; sys.exit(cli.main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)


def test_help_names_every_command_without_what_each_of_them_needs():
    done = without("rosbags")
    assert done.returncode == 0 and all(f"  {command}" in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("module, words", [("rosbags", ["record"]), ("rclpy", ["say", "hello"]), ("rclpy", ["interrupt"])])
def test_a_command_that_lacks_a_module_says_which(module, words):
    done = without(module, *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"`atl {words[0]}` needs the Python module {module}" in done.stderr


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_in_order(monkeypatch, number, code):
    ended = []

    def work(_):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            ended.append(True)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(compare, "main", work)
    monkeypatch.setitem(sys.modules, "atl_bringup.compare", compare)
    assert main(["compare", "a", "b"]) == code and ended
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("read, text", [(arguments.positive, "0"), (arguments.positive, "nan"), (arguments.not_negative, "-1"),
                                        (arguments.not_negative, "soon"), (arguments.int_between(1, 4), "5"),
                                        (arguments.face_namespace, "my face")])  # fmt: skip
def test_numbers_out_of_range_are_refused(read, text):
    with pytest.raises((arguments.argparse.ArgumentTypeError, ValueError)):
        read(text)
    assert (arguments.positive("2"), arguments.not_negative("0"), arguments.int_between(1, 4)("4")) == (2, 0, 4)
    assert arguments.face_namespace("left") == "/left"
