"""Nodes as real processes over Fast DDS, for the tests of every room: the fixture `graph`."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PROFILE = Path(__file__).parents[1] / "launch" / "config" / "fastdds.xml"
# Away from a graph that may be running on this machine, and from other test runs.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# As the command `atl` and the graph's nodes: two threads round products of matrices differently, and pictures are compared
# to the byte.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(PROFILE))


class Graph:
    """A node of the test's own, spun in a thread, and processes that end with the test."""

    def __init__(self, node):
        self.node, self._processes = node, []

    def start(self, module: str, **parameters) -> subprocess.Popen:
        """`python -m module` with parameters."""
        command = [sys.executable, "-m", module, "--ros-args"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._processes.append(process)
        return process

    def wait_for(self, condition, timeout_s: float = 20.0):
        """Wait until a function gives something true; returns it."""
        end = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {timeout_s} s in vain for {condition}"
            time.sleep(0.02)
        return value

    def make(self, maker):
        """What a function makes on the node, made by the thread that spins: rclpy's ActionClient is in the executor's hands
        before it is whole, and another thread that meets it then dies of that."""
        task = self.node.executor.create_task(maker)
        self.wait_for(task.done)
        return task.result()

    def stop(self, process: subprocess.Popen) -> tuple[int, str]:
        """SIGINT; returns exit code and what the process had printed."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            output = process.communicate(timeout=8)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            output = process.communicate()[0] + "\n(killed: it did not end after SIGINT)"
        return process.returncode, output

    def close(self) -> None:
        for process in self._processes:
            self.stop(process)

    @staticmethod
    @contextmanager
    def spun(node):
        """A node's callbacks run in a thread meanwhile."""
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

        executor = SingleThreadedExecutor()
        executor.add_node(node)

        def spin():
            try:
                executor.spin()
            except ExternalShutdownException:
                pass

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        yield
        executor.shutdown()
        thread.join(5)


@pytest.fixture
def graph():
    """A Graph in a ROS context of its own."""
    rclpy = pytest.importorskip("rclpy")
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    node = rclpy.create_node("tester", namespace="/robot_face")
    with Graph.spun(node):
        made = Graph(node)
        yield made
        made.close()
    node.destroy_node()
    rclpy.try_shutdown()
