"""Play a bag's sound, expressions and portraits into a running graph:

    python -m atl_bringup.player BAG NAMESPACE SUBSCRIBERS READY_S

In real time, with /clock on the bag's media time, once `audio` has so many subscribers and a face is there, for which it waits
READY_S at most. Prints one JSON line: how late the messages were published.
"""

import json
import sys
import threading
import time

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from atl_bringup.bench import percentiles
from atl_bringup.parameter_file import NAMESPACE
from atl_evaluation.bag import Bag, read_bag
from atl_evaluation.events import Asked, Chunk, End, Event, Shown
from atl_face.errors import UserError
from atl_msgs.msg import AudioChunk, Expression, Portrait
from atl_msgs.srv import SetPortrait
from atl_node.arrays import to_array
from atl_node.qos import latched, reliable
from atl_node.stamps import to_time

CLOCK_S = 0.01  # between ticks of /clock: what the nodes' pacing can see of time
DISCOVERY_S = 1.0  # after all are matched here: they may still be finding one another
EXIT_STOPPED = 143  # as by SIGTERM
TAIL_S = 2.0  # /clock goes on after the last message: what was said is still being shown


class Player(Node):
    """Publishes what a bag holds of what goes into the graph."""

    def __init__(self, bag: Bag):
        super().__init__("player", namespace=NAMESPACE)  # the graph's, wherever the bag's face was
        self.events = [event for event in bag.events if isinstance(event, Chunk | End | Asked | Shown)]
        begin = next(event for event in self.events if isinstance(event, Chunk))
        self.events = self.events[self.events.index(begin):]  # what came before is the graph's own state at its start
        self._first_ns, self._offset_ns = begin.log_ns, begin.stamp_ns - begin.log_ns
        self.audio = self.create_publisher(AudioChunk, "audio", reliable(100))
        self._audio_end = self.create_publisher(AudioChunk, "audio_end", latched())
        self._expression = self.create_publisher(Expression, "expression", reliable(10))
        self._clock = self.create_publisher(Clock, "/clock", reliable(1))
        self._set_portrait = self.create_client(SetPortrait, "set_portrait")
        self.has_face = threading.Event()
        self.create_subscription(Portrait, "portrait", lambda _: self.has_face.set(), latched())

    def wait(self, subscribers: int, ready_s: float) -> None:
        """Until the graph is there. Raises UserError if it isn't in ready_s."""
        until = time.monotonic() + ready_s
        while not (self.has_face.is_set() and self.audio.get_subscription_count() >= subscribers):
            if time.monotonic() > until:
                raise UserError("The graph didn't come up: read graph.log in the output folder.", "no_graph")
            self._tick(self._first_ns)
            time.sleep(0.05)
        time.sleep(DISCOVERY_S)

    def play(self) -> list[float]:
        """Publish everything when it is due; returns how late each message was, ms."""
        began, late_ms, waiting = time.monotonic_ns(), [], list(reversed(self.events))
        end_ns = self.events[-1].log_ns - self._first_ns + round(1e9 * TAIL_S)
        while (elapsed_ns := time.monotonic_ns() - began) < end_ns:
            self._tick(self._first_ns + elapsed_ns)
            while waiting and waiting[-1].log_ns - self._first_ns <= elapsed_ns:
                event = waiting.pop()
                late_ms.append((elapsed_ns - (event.log_ns - self._first_ns)) / 1e6)
                self._publish(event)
            left_s = (waiting[-1].log_ns - self._first_ns - (time.monotonic_ns() - began)) / 1e9 if waiting else CLOCK_S
            time.sleep(min(CLOCK_S, max(0.0, left_s)))
        return late_ms

    def _tick(self, log_ns: int) -> None:
        self._clock.publish(Clock(clock=to_time(log_ns + self._offset_ns)))

    def _publish(self, event: Event) -> None:
        if isinstance(event, Chunk):
            self.audio.publish(_chunk(event, event.first_sample, event.sample_rate, to_array(event.samples)))
        elif isinstance(event, End):
            self._audio_end.publish(_chunk(event, event.samples, 16000, []))
        elif isinstance(event, Asked):
            self._expression.publish(Expression(label=event.label, intensity=event.intensity, level=event.level,
                                                style=event.style, gaze_yaw=event.gaze_yaw, gaze_pitch=event.gaze_pitch))
        elif isinstance(event, Shown):
            self._set_portrait.call_async(SetPortrait.Request(data=encoded(event.portrait.picture)))


def encoded(picture) -> bytes:
    """A picture (H, W, 3) uint8 RGB as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def _chunk(event: Chunk | End, first_sample: int, rate: int, samples) -> AudioChunk:
    message = AudioChunk(stream_id=event.stream_id, first_sample=first_sample, sample_rate=rate, samples=samples)
    message.header.stamp = to_time(event.stamp_ns)
    return message


def main() -> int:
    path, namespace, subscribers, ready_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    bag = read_bag(path, namespace)
    rclpy.init(args=[])
    player, executor = Player(bag), SingleThreadedExecutor()
    executor.add_node(player)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass

    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    try:
        player.wait(subscribers, ready_s)
        print(json.dumps(percentiles(player.play())))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except (RuntimeError, KeyboardInterrupt) as error:
        if rclpy.ok() and isinstance(error, RuntimeError):
            raise
        return EXIT_STOPPED  # SIGINT or SIGTERM came: whoever started it ends it
    finally:
        executor.shutdown()
        rclpy.try_shutdown()
        spinner.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
