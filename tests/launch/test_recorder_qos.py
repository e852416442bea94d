"""A recorded topic says what its publishers really offered, so that `ros2 bag play` offers the same."""

import pytest

pytest.importorskip("rclpy")

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rosbags.interfaces import QosDurability, QosHistory, QosReliability  # noqa: E402

from atl_bringup.record import graphs_offer  # noqa: E402
from atl_bringup.recorder import offered  # noqa: E402


def test_what_publishers_offer_is_told_as_far_as_discovery_tells_it():
    deep = QoSProfile(depth=7, reliability=ReliabilityPolicy.BEST_EFFORT)
    unknown = QoSProfile(depth=0, history=HistoryPolicy.UNKNOWN, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    first, second = offered([deep, unknown, deep], "/face/landmarks")
    assert (first.reliability, first.durability) == (QosReliability.BEST_EFFORT, QosDurability.VOLATILE)
    assert (first.history, first.depth) == (QosHistory.KEEP_LAST, 7)
    assert (second.history, second.depth, second.durability) == (QosHistory.KEEP_LAST, 100, QosDurability.TRANSIENT_LOCAL)


def test_of_nobody_the_graphs_offer_is_told():
    assert offered([], "/face/portrait") == [graphs_offer("/face/portrait")]
    assert graphs_offer("/face/portrait").durability == QosDurability.TRANSIENT_LOCAL
    assert graphs_offer("/diagnostics").durability == QosDurability.VOLATILE
