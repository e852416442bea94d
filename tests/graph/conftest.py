"""A real graph in processes of its own, and a probe inside the test's process that hears and sees what it publishes."""

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

START_S = 40.0
HANGS_S = 8.0  # after which a node of the graph that hangs ends itself; the default would outlast the tests' patience


def atl(*words, **options):
    """`atl` with these words, as a process."""
    return subprocess.Popen([sys.executable, "-m", "atl_bringup.cli", *map(str, words)], **options)


class Probe:
    """Subscribes to the graph; keeps what came, newest last."""

    def __init__(self):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import Image

        from atl_msgs.msg import AudioChunk, FaceLandmarks, Portrait
        from atl_node.qos import latched, reliable

        rclpy.init()
        self.node = rclpy.create_node("probe", namespace="/robot_face")
        self.seen = {"image_raw": [], "landmarks": [], "audio": [], "audio_playout": [], "portrait": []}
        for topic, kind, qos in (
            ("image_raw", Image, reliable(10)), ("landmarks", FaceLandmarks, reliable(50)),
            ("audio", AudioChunk, reliable(100)), ("audio_playout", AudioChunk, reliable(100)),
            ("portrait", Portrait, latched()),
        ):  # fmt: skip
            self.node.create_subscription(kind, topic, self.seen[topic].append, qos)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        threading.Thread(target=self._executor.spin, daemon=True).start()

    def wait(self, topic: str, count: int = 1, timeout_s: float = START_S) -> list:
        """`count` messages of a topic that come from now on."""
        begin, until = len(self.seen[topic]), time.monotonic() + timeout_s
        while len(self.seen[topic]) < begin + count:
            assert time.monotonic() < until, f"{len(self.seen[topic]) - begin} of {count} messages on {topic}"
            time.sleep(0.02)
        return self.seen[topic][begin : begin + count]

    def call(self, kind, name: str, request, timeout_s: float = 15.0):
        """The answer of a service."""
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(timeout_s), f"no service {name}"
        future, until = client.call_async(request), time.monotonic() + timeout_s
        while not future.done():
            assert time.monotonic() < until, f"no answer from {name}"
            time.sleep(0.01)
        self.node.destroy_client(client)
        return future.result()

    def close(self):
        import rclpy

        self._executor.shutdown()
        rclpy.try_shutdown()


@pytest.fixture(scope="module")
def probe():
    made = Probe()
    yield made
    made.close()


@pytest.fixture(scope="module")
def face(probe):
    """The supervisor's process of a running graph: shipped portrait, shipped speech, looped, no display."""
    process = atl("run", "--display", "none", "--loop", env=os.environ | {"ATL_HANGS_S": str(HANGS_S)})
    try:
        probe.wait("image_raw")
        yield process
    finally:
        process.terminate()
        process.wait(10)


def node_process(supervisor: subprocess.Popen, name: str) -> psutil.Process:
    """The process of a node of the graph."""
    for child in psutil.Process(supervisor.pid).children(recursive=True):
        if f"__node:={name}" in child.cmdline():
            return child
    raise AssertionError(f"no process of the node {name}")
