"""The diffusion node with a network that is too slow for the frame rate: frames keep coming, with less of it."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from atl_diffusion_node import node as stage  # noqa: E402
from atl_diffusion_node.portrait import default_portrait_path, load_portrait  # noqa: E402
from atl_diffusion_node.runtime import WINDOW, WINDOWS  # noqa: E402
from atl_msgs.msg import FaceLandmarks  # noqa: E402
from atl_node.qos import reliable  # noqa: E402
from atl_node.stamps import to_ns  # noqa: E402

FRAMES, PERIOD_S = 100, 0.04
NETWORK_S = 0.05  # of an evaluation of the face's view; the mouth's takes 33 ms more


class SlowRuntime:
    """Changes nothing, and takes its time over it: as much a pixel as NETWORK_S is for the face's view."""

    name = "slow"
    concurrent = False

    def __init__(self, size=WINDOW):
        self.delay_s = NETWORK_S * size[0] * size[1] / (WINDOW[0] * WINDOW[1])

    def of(self, view):
        return SlowRuntime(WINDOWS[view])

    def identity(self, portrait, portrait_rasters):
        return [np.zeros((1, 1, WINDOW[0] >> level, WINDOW[1] >> level), np.float32) for level in (1, 2, 3, 4)]

    def step(self, x_s, warped, guides, features, memory):
        time.sleep(self.delay_s)
        return np.zeros_like(warped), np.zeros_like(warped[:, :2, ::4, ::4]), None


@pytest.fixture
def slow_stage(graph, monkeypatch):
    """The node itself in a thread of its own, with the slow runtime."""
    monkeypatch.setattr(stage, "make_runtime", lambda *_: SlowRuntime())
    node = stage.DiffusionNode()
    with graph.spun(node):
        yield node
    node.end()
    node.destroy_node()


def test_frames_keep_coming_when_the_network_is_too_slow(graph, slow_stage):
    pictures, statuses = [], []
    graph.node.create_subscription(Image, "image_raw", lambda m: pictures.append((time.time_ns(), m)), reliable(50))
    graph.node.create_subscription(DiagnosticArray, "/diagnostics", lambda m: statuses.append(m.status[0]), reliable(10))
    landmarks = graph.node.create_publisher(FaceLandmarks, "landmarks", reliable(50))
    graph.wait_for(lambda: landmarks.get_subscription_count() and graph.node.count_publishers("/robot_face/image_raw"))
    time.sleep(0.3)  # the other side matches a little later
    portrait = load_portrait(default_portrait_path(), 512)
    message = FaceLandmarks(stream_id=1, portrait_id=portrait.id, topology="ibug68", points=portrait.neutral.ravel().tolist())
    start_ns = time.time_ns()
    for k in range(FRAMES):
        time_ns = start_ns + round(1e9 * PERIOD_S) * k
        time.sleep(max(0.0, 1e-9 * (time_ns - time.time_ns())))
        message.frame_index, message.header.stamp = k, Time(sec=time_ns // 10**9, nanosec=time_ns % 10**9)
        landmarks.publish(message)
    status = graph.wait_for(lambda: [s for s in statuses if s.level != DiagnosticStatus.OK])[-1]
    figures = {value.key: value.value for value in status.values}
    assert status.level == DiagnosticStatus.WARN and "output_size" in status.message
    assert figures["level"] in ("mouth", "warp") and float(figures["level_share_full"]) < 0.5
    last = [(at_ns, to_ns(m.header.stamp)) for at_ns, m in pictures if to_ns(m.header.stamp) >= start_ns + 10**9 * FRAMES // 50]
    assert len(last) >= 0.8 * FRAMES / 2, "of the second half, when the level had long fallen"
    assert np.percentile([at_ns - stamp_ns for at_ns, stamp_ns in last], 90) < 0.2e9
