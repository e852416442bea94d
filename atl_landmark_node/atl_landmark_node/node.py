"""The landmark node: `audio` in, `landmarks` out, 25 frames a second, 80 ms of look-ahead behind the sound."""

import sys
import time
from collections import deque

import numpy as np

from atl_face.emotion import Expression as FaceExpression
from atl_face.emotion import asked_of
from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_landmark_node.convert import (
    landmarks_message,
    neutral_of,
    samples_of,
    stream_start_ns,
)
from atl_landmark_node.follow import ChunkFollower
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.parameters import PARAMETERS
from atl_landmark_node.stream import LandmarkStream
from atl_msgs.msg import AudioChunk, Expression, FaceLandmarks, Portrait
from atl_node.node import AtlNode, Level
from atl_node.qos import latched, reliable
from atl_node.run import run_node

TIMES_KEPT = 1500  # frames (one minute) that the figures in the diagnostics are about


class LandmarkNode(AtlNode):
    """Hears `audio`, `audio_end`, `portrait` and `expression`; publishes `landmarks`."""

    input = "audio"

    def __init__(self):
        super().__init__("landmark", PARAMETERS, namespace="/robot_face")
        self._entities = []
        self._landmarks = None

    def configure(self) -> None:
        stream = LandmarkStream(SpeechModel(self.value("articulation"), self.value("network")), self.value("seed"))
        self._own = FaceExpression(self.value("emotion"), self.value("intensity"), style=self.value("style"))
        stream.expression = self._own
        self._follower = ChunkFollower(stream)
        self._portrait_id = ""
        self._start_ns = 0
        self._frames = 0
        self._problem = ""
        self._times_ms: deque[float] = deque(maxlen=TIMES_KEPT)
        self._landmarks = self.advertise(FaceLandmarks, "landmarks", reliable(50))

    def activate(self) -> None:
        self._entities = [
            self.subscribe(Portrait, "portrait", self._see, latched()),
            self.subscribe(AudioChunk, "audio", self._hear, reliable(100)),
            self.subscribe(AudioChunk, "audio_end", self._end, latched()),
            self.subscribe(Expression, "expression", self._express, reliable(10)),
        ]

    def deactivate(self) -> None:
        for subscription in self._entities:
            self.destroy_subscription(subscription)
        self._entities = []

    def cleanup(self) -> None:
        if self._landmarks is not None:
            self.destroy_publisher(self._landmarks)
            self._landmarks = None

    def diagnostics(self) -> tuple[Level, str, dict[str, object]]:
        times = list(self._times_ms) or [0.0]
        figures = {
            "frames": self._frames,
            "frame_ms_p50": round(float(np.percentile(times, 50)), 2),
            "frame_ms_p95": round(float(np.percentile(times, 95)), 2),
            "frame_ms_max": round(max(times), 2),
            "lost_samples": self._follower.lost_samples,
            "portrait_id": self._portrait_id,
            "network": self.value("network") or "shipped",
        }
        if self._problem:
            return Level.ERROR, self._problem, figures
        if not self._portrait_id:
            return Level.WARN, "no portrait yet: an average face is animated", figures
        return Level.OK, "running", figures

    def _see(self, message: Portrait) -> None:
        self._follower.stream.set_portrait(neutral_of(message))
        self._portrait_id = message.id

    def _express(self, message: Expression) -> None:
        try:
            self._follower.stream.expression = asked_of(message, self._own)
        except UserError as error:
            self.get_logger().warning(f"An expression was ignored: {error}")

    def _hear(self, chunk: AudioChunk) -> None:
        self.heard()
        if chunk.sample_rate != SAMPLE_RATE:
            problem = f"Sound of {chunk.sample_rate} Hz is ignored; publish {SAMPLE_RATE} Hz, or let the audio node resample."
            if problem != self._problem:
                self.get_logger().error(problem)
            self._problem = problem
            return
        self._problem = ""
        self._start_ns = stream_start_ns(chunk)
        self._publish(self._follower.push(chunk.stream_id, chunk.first_sample, samples_of(chunk)))

    def _end(self, chunk: AudioChunk) -> None:
        self._publish(self._follower.end(chunk.stream_id, chunk.first_sample))

    def _publish(self, frames) -> None:
        before = time.perf_counter()
        for frame in frames:
            expression = self._follower.stream.expression
            self._landmarks.publish(landmarks_message(
                frame, self._start_ns, self._follower.stream_id, self._portrait_id, expression))  # fmt: skip
            self._frames += 1
            self._times_ms.append(1e3 * (time.perf_counter() - before))
            before = time.perf_counter()


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the exit code."""
    return run_node(LandmarkNode, args)


if __name__ == "__main__":
    sys.exit(main())
