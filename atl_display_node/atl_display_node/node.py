"""The display node: sound and frames of the graph, in step, to a page, a window, a clip or nobody."""

import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from sensor_msgs.msg import Image

from atl_display_node.convert import find_cv_bridge, picture_of, playout_message
from atl_display_node.parameters import PARAMETERS
from atl_display_node.playout import Playout
from atl_display_node.recorder import Recorder
from atl_display_node.sinks import Sink, make_sink
from atl_face.errors import UserError
from atl_face.files import clip_to_write
from atl_face.media import ClipWriter
from atl_msgs.msg import AudioChunk
from atl_node.arrays import samples_of
from atl_node.node import AtlNode, Level
from atl_node.qos import latched, reliable
from atl_node.run import run_node
from atl_node.stamps import to_ns

LOOK_S = 0.01  # the playout's thread sleeps until something is due, at most so long
RECORD_DEPTH = 100  # a recorder loses nothing: 4 s of frames may wait while the encoder is busy
EXIT_FAILED = 1


class DisplayNode(AtlNode):
    """Subscribes to `image_raw`, `audio` and `audio_end`; publishes `audio_playout`."""

    input = "image_raw"

    def __init__(self):
        super().__init__("display", PARAMETERS, namespace="/robot_face")
        self._sink: Sink | None = None

    def configure(self) -> None:
        recording = self.value("sink") == "file"
        self._recorder, self._end_timer = self._make_recorder() if recording else None, None
        self._playout = Playout(self.value("playout_delay_s"))
        self._lock = threading.Lock()  # of the playout, between the executor's thread and its own
        self._bridge, self._problem, self._halt = find_cv_bridge(), "", threading.Event()
        self._stream_id = int(time.time()) & 0x7FFFFFFF  # another one in each life; before /clock comes, ROS time is always 0
        self._thread = ThreadPoolExecutor(1, "playout")  # window systems want one thread for everything
        self._running: Future | None = None
        names = ("sink", "host", "port", "max_viewers", "page_names", "fullscreen")
        sink = make_sink(*map(self.value, names))
        self._playout_publisher = self.advertise(AudioChunk, "audio_playout", reliable(100))
        try:
            self._thread.submit(sink.open).result()
        except UserError:
            self._thread.submit(sink.close).result()
            self.destroy_publisher(self._playout_publisher)
            raise
        self._sink = sink
        if sink.address:
            self.get_logger().info(f"open {sink.address}")

    def activate(self) -> None:
        self._playout.begin_anew()
        self._halt.clear()
        self._running, self._subscriptions_made = self._thread.submit(self._run), []
        recording = self._recorder is not None
        heard = [(AudioChunk, "audio", self._take_audio, reliable(100)),
                 (Image, "image_raw", self._take_image, reliable(RECORD_DEPTH if recording else 10)),
                 (AudioChunk, "audio_end", self._take_end, latched())]  # fmt: skip
        try:
            for one in heard if recording else heard[:2]:
                self._subscriptions_made.append(self.subscribe(*one))
        except UserError:
            self.deactivate()
            raise

    def deactivate(self) -> None:
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._halt.set()
        self._running.result()

    def cleanup(self) -> None:
        if self._sink is None:
            return
        if self._end_timer is not None:
            self.destroy_timer(self._end_timer)
        self.destroy_publisher(self._playout_publisher)
        self._halt.set()
        self._thread.submit(self._sink.close).result()
        self._thread.shutdown()
        self._sink = None
        if self._recorder is not None and (told := self._recorder.cut_short()):
            self.get_logger().warning(told)

    def diagnostics(self) -> tuple[Level, str, dict[str, object]]:
        figures = {"sink": self.value("sink"), **self._playout.counts.figures(), **self._sink.figures()}
        if self._recorder is not None:
            figures |= {"frames_recorded": self._recorder.frames, "frames_missing": self._recorder.missing}
        if self._running.done() and (error := self._running.exception()):
            self._give_up(sentence := f"the playout has stopped: {error!r}")  # a new process begins anew
            return Level.ERROR, sentence, figures
        if problem := self._problem or self._sink.problem:
            return Level.ERROR, problem, figures
        if self._sink.warning:
            return Level.WARN, self._sink.warning, figures
        return Level.OK, f"showing ({self.value('sink')})", figures

    def _make_recorder(self) -> Recorder:
        if not (out := self.value("out")):
            raise UserError("The sink is `file`: set `out` to the clip to write.", "no_out")
        self.unwatch()  # a clip that is closed, and its gaps filled, may take its time
        return Recorder(partial(ClipWriter, clip_to_write(out)))  # looked at now, not at the first frame

    def _take_audio(self, message: AudioChunk) -> None:
        chunk = (message.stream_id, message.first_sample, to_ns(message.header.stamp), samples_of(message.samples))
        with self._lock:
            self._playout.push_audio(*chunk)
        if self._recorder is not None and self._record(self._recorder.take_audio, *chunk):
            self._look_at_end()

    def _take_image(self, message: Image) -> None:
        self.heard()
        try:
            picture, self._problem = picture_of(message, self._bridge), ""
        except UserError as error:
            self._problem = str(error)
            return
        media_time_ns = to_ns(message.header.stamp)
        with self._lock:
            self._playout.push_frame(media_time_ns, picture)
        if self._recorder is not None:
            before = self._recorder.frames
            self._record(self._recorder.take_frame, media_time_ns, picture)
            self._look_at_end()
            if self._end_timer is not None and self._recorder.frames > before:
                self._end_timer.reset()  # a slow renderer may take its time, as long as frames keep coming

    def _record(self, take, *what) -> bool:
        """Whether it went well: a clip that can't be written any longer (a full disk, say) ends the recording."""
        try:
            take(*what)
        except UserError as error:
            self._recorder.abandon()
            self._give_up(str(error))
            return False
        return True

    def _give_up(self, sentence: str) -> None:
        self.get_logger().error(sentence)
        self.finish(EXIT_FAILED)

    def _take_end(self, message: AudioChunk) -> None:
        self._recorder.end_sound(message.stream_id, to_ns(message.header.stamp))
        self._look_at_end()

    def _look_at_end(self) -> None:
        """Where the sound is complete, wait for the frames that belong to it."""
        if self._recorder.complete:
            self._end_recording()
        elif self._recorder.frames_wanted is not None and self._end_timer is None:
            self._end_timer = self.create_timer(self.value("end_timeout_s"), self._end_recording, clock=self.steady)

    def _end_recording(self) -> None:
        if self.stopped.done():
            return
        if self._recorder.frames == 0:
            self._give_up("No frame arrived, so there is no clip: look at the diffusion node's messages.")
        elif self._record(self._recorder.close):
            self.get_logger().info(f"wrote {self.value('out')}: {self._recorder.summary}")
            self.finish(0)

    def _run(self) -> None:
        """The playout's thread: gives each thing out when it is due."""
        wait_s = 0.0
        while not self._halt.wait(wait_s):
            now_ns = self.get_clock().now().nanoseconds
            with self._lock:
                slots, frame = self._playout.tick(now_ns)
                due_ns = self._playout.next_due_ns()
            for slot in slots:
                message = playout_message(self._stream_id, slot.first_sample, slot.media_time_ns, slot.samples)
                self._playout_publisher.publish(message)
                self._sink.hear(slot.samples, slot.media_time_ns)
            if frame is not None:
                self._sink.show(frame.image, frame.media_time_ns)
            self._sink.idle()
            if self._sink.finished:
                self.finish(0)
            left_s = LOOK_S if due_ns is None else (due_ns - self.get_clock().now().nanoseconds) / 1e9
            wait_s = min(LOOK_S, max(0.0, left_s))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the exit code."""
    return run_node(DisplayNode, args)


if __name__ == "__main__":
    sys.exit(main())
