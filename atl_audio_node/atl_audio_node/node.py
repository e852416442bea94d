"""The audio node: a source, the `say` action and the `interrupt` service, out as a paced stream of 20 ms
chunks."""

import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from std_srvs.srv import Trigger

from atl_audio_node.convert import chunk_message, end_message
from atl_audio_node.file_source import FileSource
from atl_audio_node.microphone import MicrophoneSource
from atl_audio_node.parameters import PARAMETERS
from atl_audio_node.say_job import SayJob
from atl_audio_node.sound_stream import SoundStream
from atl_audio_node.sources import SilentSource, Source
from atl_audio_node.topic_source import BURST, TopicSource
from atl_audio_node.worn import WornExpression
from atl_face.errors import UserError
from atl_msgs.action import Say
from atl_msgs.msg import AudioChunk, Expression
from atl_node.arrays import samples_of
from atl_node.node import AtlNode, Level
from atl_node.qos import latched, reliable
from atl_node.run import run_node

LOOK_S = 0.01  # the pacing thread sleeps until the next chunk is due, at most so long
SERVICE_S = 0.05  # how often devices are looked after and the progress of `say` is told
LATENESS_KEPT = 3000  # chunks (one minute) that the figures in the diagnostics are about


class AudioNode(AtlNode):
    """Publishes `audio` and `audio_end`; offers `say` and `interrupt`; hears `expression`; source `topic`: `audio_in`."""

    def __init__(self):
        super().__init__("audio", PARAMETERS, namespace="/robot_face")
        self._stream: SoundStream | None = None

    def configure(self) -> None:
        self._source = self._make_source()
        first_stream_id = int(time.time()) & 0x7FFFFFFF  # of no earlier life; simulated time would begin each one at 0
        self._stream = SoundStream(self._source, first_stream_id, self.value("pause_s"))
        self._lateness_ms: deque[float] = deque(maxlen=LATENESS_KEPT)
        self._published, self._told = 0, ""
        self._jobs: list[tuple[SayJob, object, Future]] = []
        self._worker = ThreadPoolExecutor(1, "speech")
        self._audio = self.advertise(AudioChunk, "audio", reliable(100))
        self._audio_end = self.advertise(AudioChunk, "audio_end", latched())
        self._expression = self.advertise(Expression, "expression", reliable(10))
        self._worn = WornExpression(self._expression.publish, Expression())
        asked = {"goal_callback": self._consider_say, "cancel_callback": lambda _: CancelResponse.ACCEPT}
        self._made = [
            (self.destroy_subscription, self.subscribe(Expression, "expression", self._worn.hear, reliable(10))),
            (self.destroy_service, self.create_service(Trigger, "interrupt", self._interrupt)),
            (ActionServer.destroy, ActionServer(self, Say, "say", self._execute_say, **asked)),
            (self.destroy_timer, self.create_timer(SERVICE_S, self._look_after, clock=self.steady)),
        ]
        if isinstance(self._source, TopicSource):
            self._made.append((self.destroy_subscription, self.subscribe(AudioChunk, "audio_in", self._hear, reliable(BURST))))

    def activate(self) -> None:
        self._stream.held = self.value("source") == "file"
        self._halt = threading.Event()
        self._pacer = threading.Thread(target=self._pace, name="pacer", daemon=True)
        self._pacer.start()

    def deactivate(self) -> None:
        for job, _, _ in self._jobs:
            job.cancel("The audio node was stopped.")
        self._look_after()  # while there is somebody to tell it
        self._halt.set()
        self._pacer.join()
        if self._source.live:
            self._source.close()  # an inactive node hears nothing: its microphone is given back, what waits is dropped

    def cleanup(self) -> None:
        if self._stream is None:
            return
        self._stream.interrupt()
        self._source.close()
        self._worker.shutdown(cancel_futures=True)
        for destroy, entity in self._made:  # through the node: rclpy's executor must know that they are gone
            destroy(entity)
        for publisher in (self._audio, self._audio_end, self._expression):
            self.destroy_publisher(publisher)
        self._stream = None

    def diagnostics(self) -> tuple[Level, str, dict[str, object]]:
        late_ms = round(float(np.percentile(list(self._lateness_ms) or [0.0], 99)), 2)
        figures = {"source": self.value("source"), "stream_id": self._stream.stream_id, "chunks": self._published,
                   "late_ms_p99": late_ms, "chunks_given_up": self._stream.gap_chunks, "chunks_lost": self._source.lost,
                   "queued_s": round(self._source.queued_s, 2)}
        if not self._pacer.is_alive():  # its traceback was printed; a new process begins anew
            self.finish(1)
            return Level.ERROR, "the pacing thread has stopped", figures
        if self._source.problem:
            return Level.ERROR, self._source.problem, figures
        if self._stream.held:
            return Level.WARN, f"waiting for {self.value('min_subscribers')} subscriber(s) of audio", figures
        return Level.OK, "speaking" if self._stream.speaking else "running", figures

    def _make_source(self) -> Source:
        kind, path = self.value("source"), self.value("path")
        if kind == "microphone":
            return MicrophoneSource(self.value("device"), self.value("device_rate_hz"))
        if kind == "topic":
            return TopicSource(self.value("backlog_s"))
        if kind == "silence":
            return SilentSource()
        if not path:
            raise UserError("The source is `file`, but no file is given: set `path` to a sound file.", "no_file")
        return FileSource(path, self.value("loop"))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _pace(self) -> None:
        """The pacing thread: publishes each chunk when it is due."""
        wait_s = 0.0
        while not self._halt.wait(wait_s):
            if self._stream.held and self._audio.get_subscription_count() >= self.value("min_subscribers"):
                self._stream.held = False
            for chunk in self._stream.pull(self._now_ns()):
                self._audio.publish(chunk_message(chunk))
                self._lateness_ms.append((self._now_ns() - chunk.media_time_ns) / 1e6)
                self._published += 1
            if end := self._stream.take_end():
                self._audio_end.publish(end_message(end))
            due_ns = self._stream.next_due_ns
            wait_s = LOOK_S if due_ns is None else min(LOOK_S, max(0.0, (due_ns - self._now_ns()) / 1e9))

    def _hear(self, message: AudioChunk) -> None:
        if self.is_active:
            sound = message.sample_rate, samples_of(message.samples)
            self._source.push(message.stream_id, message.first_sample, *sound, time.monotonic_ns())

    def _interrupt(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        for job, _, _ in self._jobs:
            job.cancel("Interrupted.")
        self._stream.interrupt()
        response.success, response.message = True, f"Silent from stream {self._stream.stream_id} on."
        return response

    def _consider_say(self, _) -> GoalResponse:
        if self.is_active:
            return GoalResponse.ACCEPT
        self.get_logger().warning("`say` is refused: the audio node is not active; activate it first.")
        return GoalResponse.REJECT

    async def _execute_say(self, goal_handle) -> Say.Result:
        goal, done = goal_handle.request, Future(executor=self.executor)
        sound = samples_of(goal.samples).copy()
        voice = self.value("voice"), self.value("words_per_minute")
        job = SayJob(self._stream, self._worker, goal.text, sound, goal.sample_rate, *voice, goal.expression)
        self._jobs.append((job, goal_handle, done))
        await done
        return Say.Result(ok=job.ok, duration=job.elapsed_s, message=job.message)

    def _look_after(self) -> None:
        """Devices, and what is being said."""
        if self.is_active:
            self._source.service(time.monotonic_ns())
        if (problem := self._source.problem) and problem != self._told:
            self.get_logger().error(problem)
        self._told = problem
        self._jobs = [entry for entry in self._jobs if not self._follow(*entry)]

    def _follow(self, job: SayJob, goal_handle, done: Future) -> bool:
        """Tell the progress of one job; True when it is over."""
        if goal_handle.is_cancel_requested:
            job.cancel("Cancelled.")
        over = job.poll()
        goal_handle.publish_feedback(Say.Feedback(progress=job.progress, elapsed=job.elapsed_s))
        if job.begins() and goal_handle.request.expression.label:
            self._worn.begin(job, goal_handle.request.expression)
        if not over:
            return False
        self._worn.end(job)
        if job.ok:
            goal_handle.succeed()
        elif goal_handle.is_cancel_requested:
            goal_handle.canceled()
        else:
            goal_handle.abort()
        done.set_result(None)
        return True


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the exit code."""
    return run_node(AudioNode, args)


if __name__ == "__main__":
    sys.exit(main())
