"""The command `atl`: what it says of itself, of what it lacks, and how it ends."""

import os
import signal
import sys
import time

import pytest

from atl_bringup import arguments, compare
from atl_bringup.cli import COMMANDS, main


def test_help_names_every_command_without_what_each_of_them_needs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rosbags", None)  # as where it isn't installed
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(f"  {command}" in told for command in COMMANDS)


def test_a_command_that_lacks_a_module_says_which(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "atl_evaluation.run_folder", None)
    monkeypatch.delitem(sys.modules, "atl_bringup.compare", raising=False)
    assert main(["compare", "a", "b"]) == 2
    assert "`atl compare` needs the Python module atl_evaluation.run_folder" in capsys.readouterr().err


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
