"""Graphs of dummy nodes, and a supervisor in its own process whose output can be read line by line."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from atl_bringup.graph import Graph, NodeSpec, environment, manager

HERE = Path(__file__).parent
START = """
import sys, pickle
from atl_bringup.supervise import supervise
sys.exit(supervise(pickle.load(open(sys.argv[1], "rb"))))
"""


class Running:
    """A process and the lines that it has said so far."""

    def __init__(self, command: list[str], env: dict[str, str]):
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's job in the background ignores it
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._queue.put(line)

    def wait_for(self, pattern: str, timeout_s: float = 20.0) -> re.Match:
        """The first match of `pattern` in a line not looked at yet."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self.lines.append(self._queue.get(timeout=0.1))
                if found := re.search(pattern, self.lines[-1]):
                    return found
        raise AssertionError(f"no {pattern!r} within {timeout_s} s in:\n{''.join(self.lines)}")

    def end(self, timeout_s: float = 20.0) -> int:
        """Exit code, once it has ended by itself; `lines` then holds everything."""
        code = self.process.wait(timeout_s)
        time.sleep(0.1)
        while not self._queue.empty():
            self.lines.append(self._queue.get())
        return code

    @property
    def text(self) -> str:
        return "".join(self.lines)


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """A prefix that holds the package atl_dummy_node, first in the path; and a DDS domain of our own."""
    program = tmp_path / "lib" / "atl_dummy_node" / "node"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n" + (HERE / "dummy_node.py").read_text())
    program.chmod(0o755)
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / "atl_dummy_node"
    index.parent.mkdir(parents=True)
    index.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(20 + os.getpid() % 80))
    return tmp_path


@pytest.fixture
def dummies():
    """dummies(two={'refuse': True}): a graph of one, two and three, activated as three, one, two."""

    def make(**parameters: dict[str, object]) -> Graph:
        stages = [
            NodeSpec(
                "atl_dummy_node",
                "node",
                name,
                namespace="/test",
                parameters={"autostart": False, **parameters.get(name, {})},
                activation=place,
            )
            for name, place in (("one", 1), ("two", 2), ("three", 0))
        ]
        return Graph((*stages, manager(stages)), environment())

    return make


@pytest.fixture
def start(workspace):
    """start(graph): the graph under a supervisor in its own process, killed at the test's end."""
    import pickle

    started = []

    def run(graph: Graph) -> Running:
        file = workspace / "graph.pickle"
        file.write_bytes(pickle.dumps(graph))
        started.append(Running([sys.executable, "-c", START, str(file)], dict(os.environ)))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
