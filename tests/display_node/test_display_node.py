"""The display node as a process of its own: a moving test picture and a tone go in over Fast DDS."""

import array
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from atl_face.media import SYNTHETIC_TAG

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from atl_msgs.msg import AudioChunk  # noqa: E402
from atl_node.qos import latched, reliable  # noqa: E402

SIZE = 128
RATE = 16000


def picture(k):
    """Frame k: a bright bar that moves, on a grey that counts."""
    image = np.full((SIZE, SIZE, 3), k % 200, np.uint8)
    image[:, (k * 4) % SIZE :][:, :8] = 255
    return image


def stamp(time_ns):
    return Time(sec=time_ns // 10**9, nanosec=time_ns % 10**9)


class Talker:
    """Publishes sound and, `lag_s` later as a renderer does, the frames that belong to it."""

    def __init__(self, graph, lag_s=0.18):
        node = graph.node
        self.audio = node.create_publisher(AudioChunk, "audio", reliable(100))
        self.end = node.create_publisher(AudioChunk, "audio_end", latched())
        self.images = node.create_publisher(Image, "image_raw", reliable(10))
        self.graph, self.lag_s, self.stream_id, self.halt = graph, lag_s, 1, threading.Event()
        self.tone = (np.sin(np.arange(RATE * 60) * 2 * np.pi * 440 / RATE) * 8000).astype(np.int16)
        self.start_ns = None

    def wait_until_heard(self):
        self.graph.wait_for(self.audio.get_subscription_count)
        self.graph.wait_for(self.images.get_subscription_count)
        time.sleep(0.3)  # the other side matches a little later

    def say(self, n, samples=None):
        message = AudioChunk(stream_id=self.stream_id, first_sample=n * 320, sample_rate=RATE)
        message.header.stamp = stamp(self.start_ns + n * 20_000_000)
        samples = self.tone[n * 320 : n * 320 + 320] if samples is None else samples
        message.samples = array.array("h", samples.tobytes())
        self.audio.publish(message)

    def show(self, k, media_time_ns=None):
        media_time_ns = self.start_ns + k * 40_000_000 if media_time_ns is None else media_time_ns
        message = Image(height=SIZE, width=SIZE, encoding="rgb8", step=SIZE * 3)
        message.header.stamp = stamp(media_time_ns)
        message.data = array.array("B", picture(k).tobytes())
        self.images.publish(message)

    def tell_end(self, seconds):
        message = AudioChunk(stream_id=self.stream_id, first_sample=round(seconds * RATE), sample_rate=RATE)
        message.header.stamp = stamp(self.start_ns + round(seconds * 10**9))
        self.end.publish(message)

    def talk(self, seconds, leave_out=(), end_at=None):
        """In real time; silence goes on after `end_at` seconds, which `audio_end` tells."""
        self.start_ns, k = time.time_ns(), 0
        for n in range(round(seconds * 50)):
            while time.time_ns() < self.start_ns + n * 20_000_000 and not self.halt.wait(0.001):
                pass
            over = end_at is not None and n * 0.02 >= end_at
            self.say(n, np.zeros(320, np.int16) if over else None)
            if end_at is not None and n == round(end_at * 50) - 1:
                self.tell_end(end_at)
            while time.time_ns() >= self.start_ns + k * 40_000_000 + self.lag_s * 1e9:
                if k not in leave_out:
                    self.show(k)
                k += 1


class Ear:
    """Keeps what is to be heard, and the diagnostics."""

    def __init__(self, graph):
        self.heard, self.diagnostics = [], []
        graph.node.create_subscription(AudioChunk, "audio_playout", self._hear, reliable(100))
        graph.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, reliable(10))

    def _hear(self, message):
        media_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.heard.append((time.time_ns(), media_ns, message))

    def _diagnose(self, message):
        status = message.status[0]
        self.diagnostics.append({"message": status.message} | {v.key: v.value for v in status.values})

    def sound(self):
        return np.concatenate([np.frombuffer(message.samples, np.int16) for _, _, message in self.heard])


def test_playout_is_complete_constant_and_continuous(graph):
    process = graph.start("atl_display_node", sink="none")
    talker, ear = Talker(graph), Ear(graph)
    talker.wait_until_heard()
    graph.wait_for(lambda: graph.node.count_publishers("/robot_face/audio_playout"))
    talker.talk(4.0)
    time.sleep(0.5)
    assert [message.first_sample for _, _, message in ear.heard] == list(range(0, 320 * len(ear.heard), 320))
    np.testing.assert_array_equal(ear.sound()[: 4 * RATE], talker.tone[: 4 * RATE])
    late_ms = np.array([(at - media) / 1e6 - 300 for at, media, _ in ear.heard])
    print(f"after the constant delay, ms: p50 {np.median(late_ms):.2f} p99 {np.percentile(late_ms, 99):.2f}")
    assert late_ms.min() > -1 and np.median(late_ms) < 15
    graph.wait_for(lambda: ear.diagnostics and int(ear.diagnostics[-1].get("frames_shown", 0)) >= 90)
    assert int(ear.diagnostics[-1]["frames_late"]) <= 5
    assert graph.stop(process)[0] == 0


def test_each_life_has_its_own_stream_even_where_clock_comes_later(graph):
    graph.start("atl_display_node", sink="none", use_sim_time=True)
    talker, ear = Talker(graph), Ear(graph)
    clock = graph.node.create_publisher(Clock, "/clock", reliable(10))
    talker.wait_until_heard()
    talker.start_ns = 10**9
    for n in range(50):
        clock.publish(Clock(clock=stamp(talker.start_ns + n * 20_000_000)))
        talker.say(n)
        time.sleep(0.01)
    graph.wait_for(lambda: ear.heard)
    assert abs(ear.heard[-1][2].stream_id - time.time()) < 100


def test_an_inactive_display_hears_nothing_and_begins_cleanly_again(graph):
    process = graph.start("atl_display_node", sink="none", playout_delay_s=2.0)
    talker, ear = Talker(graph), Ear(graph)
    change = graph.node.create_client(ChangeState, "display/change_state")

    def step(transition):
        call = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
        graph.wait_for(call.done)
        assert call.result().success

    talker.wait_until_heard()
    graph.wait_for(change.service_is_ready)
    talker.talk(1.0)
    step(Transition.TRANSITION_DEACTIVATE)
    graph.wait_for(lambda: not talker.audio.get_subscription_count() and not talker.images.get_subscription_count())
    step(Transition.TRANSITION_ACTIVATE)
    talker.wait_until_heard()
    time.sleep(2.0)
    assert not ear.heard or not ear.sound().any(), "sound from before the deactivation"
    talker.stream_id = 2
    talker.talk(0.5)
    time.sleep(2.5)
    np.testing.assert_array_equal(np.trim_zeros(ear.sound()), np.trim_zeros(talker.tone[: RATE // 2]))
    assert [message.first_sample for _, _, message in ear.heard] == list(range(0, 320 * len(ear.heard), 320))
    assert graph.stop(process)[0] == 0


def test_an_interrupted_stream_is_silent_at_once(graph):
    graph.start("atl_display_node", sink="none", playout_delay_s=1.0)
    talker, ear = Talker(graph), Ear(graph)
    talker.wait_until_heard()
    talker.talk(2.0)
    changed_ns = time.time_ns()
    talker.stream_id, talker.start_ns = 2, changed_ns
    talker.say(0, np.zeros(320, np.int16))
    time.sleep(1.5)
    late = [message for at, _, message in ear.heard if at > changed_ns + 100e6]
    assert len(late) > 40 and not any(any(message.samples) for message in late)


def test_file_sink_writes_every_frame_and_ends_by_itself(graph, tmp_path):
    out = tmp_path / "clip.mp4"
    process = graph.start("atl_display_node", sink="file", out=out)
    talker = Talker(graph)
    talker.wait_until_heard()
    talker.talk(4.0, leave_out=(30,), end_at=3.0)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0, output
    assert "75 frames, 3.00 s" in output and "1 frames missing" in output
    with av.open(str(out)) as clip:
        assert clip.metadata["comment"] == SYNTHETIC_TAG
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    with av.open(str(out)) as clip:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in clip.decode(audio=0)])
    assert len(frames) == 75 and abs(sound.size / RATE - 3.0) < 0.07
    order = [29 if k == 30 else k for k in range(75)]
    for k, frame in zip(order, frames, strict=True):
        assert abs(float(np.median(frame)) - k) < 4
        assert frame[:, (k * 4) % SIZE :][:, 1:7].mean() > 200
    assert np.abs(sound[8000:40000]).max() == pytest.approx(8000 / 32768, rel=0.1)


def test_an_end_that_is_latched_since_an_hour_is_not_the_clips(graph, tmp_path):
    talker = Talker(graph)
    talker.start_ns = time.time_ns() - 3600 * 10**9
    talker.tell_end(1.0)
    process = graph.start("atl_display_node", sink="file", out=tmp_path / "clip.mp4")
    talker.wait_until_heard()
    talker.stream_id = 2
    talker.talk(2.0, end_at=1.0)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0 and "25 frames, 1.00 s" in output, output


def test_frames_that_are_not_taken_do_not_put_off_the_end(graph, tmp_path):
    process = graph.start("atl_display_node", sink="file", out=tmp_path / "clip.mp4", end_timeout_s=1.0)
    talker = Talker(graph)
    talker.wait_until_heard()
    talker.talk(1.3, leave_out=(24,), end_at=1.0)
    for _ in range(40):
        talker.show(0)
        time.sleep(0.1)
    assert process.poll() == 0 and "25 frames, 1.00 s" in process.communicate()[0]


def test_file_sink_without_frames_fails_in_words(graph, tmp_path):
    process = graph.start("atl_display_node", sink="file", out=tmp_path / "clip.mp4", end_timeout_s=1.0)
    talker = Talker(graph, lag_s=1000)
    talker.wait_until_heard()
    talker.talk(1.2, end_at=1.0)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 1 and "No frame arrived" in output and "Traceback" not in output


def test_a_clip_cut_short_by_sigint_can_be_played(graph, tmp_path):
    out = tmp_path / "clip.mp4"
    process = graph.start("atl_display_node", sink="file", out=out)
    talker = Talker(graph)
    talker.wait_until_heard()
    talker.talk(2.0)
    assert graph.stop(process)[0] == 0
    with av.open(str(out)) as clip:
        assert sum(1 for _ in clip.decode(video=0)) >= 45


@pytest.mark.parametrize(
    "parameters, sentence",
    [
        ({"sink": "file"}, "set `out`"),
        ({"sink": "file", "out": "/nowhere/clip.mp4"}, "can't be written to"),
        ({"sink": "cinema"}, "must be one of"),
    ],
)
def test_user_mistakes_are_one_sentence(graph, parameters, sentence):
    process = graph.start("atl_display_node", **parameters)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 2 and sentence in output and "Traceback" not in output


def test_a_port_in_use_is_one_sentence(graph):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = graph.start("atl_display_node", sink="web", port=port)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 2 and f"port {port}" in output and "Traceback" not in output


def test_a_bad_image_is_told_and_does_no_harm(graph):
    process = graph.start("atl_display_node", sink="none")
    talker, ear = Talker(graph), Ear(graph)
    talker.wait_until_heard()
    talker.images.publish(Image(height=9, width=9, encoding="16UC1", step=18))
    graph.wait_for(lambda: [d for d in ear.diagnostics if "16UC1" in d["message"]])
    assert process.poll() is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here: no disk that is full")
def test_a_clip_that_can_not_be_written_ends_the_node_with_its_sentence(graph):
    process = graph.start("atl_display_node", sink="file", out="/dev/full")
    talker = Talker(graph)
    talker.wait_until_heard()
    talker.talk(1.0)
    graph.wait_for(lambda: process.poll() is not None)
    code, output = graph.stop(process)
    assert code == 1 and "/dev/full can't be written" in output and "Traceback" not in output
