"""The node of `atl record`: subscribes to the graph and hands every message to a Recording as it came, unopened."""

from __future__ import annotations

import sys
import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from sensor_msgs.msg import Image

from atl_bringup.record import LATCHED, WAIT_S, Recording, SoundEnd, graphs_offer
from atl_msgs.msg import AudioChunk, Expression, FaceLandmarks, Portrait
from atl_node.qos import latched, reliable
from atl_node.run import Stoppable, run_node

KINDS = {"audio": AudioChunk, "audio_end": AudioChunk, "portrait": Portrait, "landmarks": FaceLandmarks,
         "expression": Expression, "image_raw": Image, "diagnostics": DiagnosticArray}  # fmt: skip
DEPTH = 100  # messages that may wait while a chunk is compressed: 2 s of sound, 4 s of frames
TICK_S = 0.25
FLUSH_S = 2.0  # what a killed recorder loses
LINGER_S = 0.5  # after the end for what is still on its way: the last frame's image, the last diagnostics
HINT_S = 5.0  # without a message, then the user is told
ENDLESS_S = 60.0  # of sound whose end is awaited, then he is told, too


class Recorder(Stoppable, Node):
    """Records until it is stopped, `seconds` after the first message, or until the sound has ended."""

    def __init__(self, recording: Recording, ends: SoundEnd | None, seconds: float | None):
        super().__init__("recorder", namespace=recording.namespace)
        self._recording, self._ends, self._seconds = recording, ends, seconds
        self._began = self._flushed = time.monotonic()
        self._first: float | None = None
        self._over: float | None = None
        self._hints: set[str] = set()  # that were given
        for topic in recording.topics:
            name = topic.rpartition("/")[2]
            qos = latched(DEPTH) if name in LATCHED else reliable(DEPTH)
            self.create_subscription(KINDS[name], topic, self._keeper(topic, name), qos, raw=True)
        self.create_timer(TICK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _keeper(self, topic: str, name: str):
        """The callback of a topic."""

        def keep(data: bytes, info: dict) -> None:
            if not self._recording.is_connected(topic):
                publishers = self.get_publishers_info_by_topic(topic)
                self._recording.connect(topic, offered([one.qos_profile for one in publishers], topic))
            self._recording.write(topic, info["received_timestamp"], data)
            if self._first is None:
                self._first = time.monotonic()
            if self._ends is not None:
                self._watch(name, data)

        return keep

    def _watch(self, name: str, data: bytes) -> None:
        """For the end of the sound."""
        if name == "audio":
            self._ends.hear(deserialize_message(data, AudioChunk).stream_id)
        elif name == "audio_end":
            chunk = deserialize_message(data, AudioChunk)
            self._ends.end(chunk.stream_id, chunk.first_sample)
        elif name == "landmarks":
            marks = deserialize_message(data, FaceLandmarks)
            self._ends.mark(marks.stream_id, marks.frame_index)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._flushed >= FLUSH_S:
            self._flushed = now
            self._recording.flush()
        if self._first is None and now - self._began > HINT_S:
            self._hint(f"Nothing came yet in {self._recording.namespace}: is the graph running?")
        if self._over is None and self._ends is not None:
            if self._ends.is_over(now):
                self._over = now
            elif self._first is not None and now - self._first > ENDLESS_S:
                self._hint("The sound hasn't ended yet: a looped file and a microphone never do. Ctrl-C ends the recording.")
        if self._first is None:
            timed_out = now - self._began >= WAIT_S and (self._seconds is not None or self._ends is not None)
        else:
            timed_out = self._seconds is not None and now - self._first >= self._seconds
        if timed_out or self._recording.problem or (self._over is not None and now - self._over >= LINGER_S):
            self.finish(0)

    def _hint(self, sentence: str) -> None:
        if sentence not in self._hints:
            self._hints.add(sentence)
            print(sentence, file=sys.stderr)


def offered(profiles: list[QoSProfile], topic: str) -> list[Qos]:
    """What a topic's publishers offer, each kind once. How deep their queues are isn't told by all middlewares: then as deep as
    the graph's. Of publishers that are gone already nothing is: then what the graph's offer."""
    graphs = graphs_offer(topic)
    found = []
    for profile in profiles:
        known = profile.history in (HistoryPolicy.KEEP_LAST, HistoryPolicy.KEEP_ALL)
        found.append(Qos(
            QosHistory(int(profile.history)) if known else graphs.history, profile.depth if known else graphs.depth,
            QosReliability(int(profile.reliability)), QosDurability(int(profile.durability)), _time(profile.deadline),
            _time(profile.lifespan), QosLiveliness(int(profile.liveliness)), _time(profile.liveliness_lease_duration), False,
        ))  # fmt: skip
    return list(dict.fromkeys(found)) or [graphs]


def _time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, 1_000_000_000))


def record(recording: Recording, ends: SoundEnd | None, seconds: float | None) -> int:
    """Record until told to stop; returns the node's exit code. The recording is left open."""
    return run_node(lambda: Recorder(recording, ends, seconds), [], watched=False)
