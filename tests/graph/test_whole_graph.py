"""The whole graph over Fast DDS with real messages: frames, stamps, swaps, refusals, interrupts, killed nodes, clips."""

import io
import os
import subprocess
import sys
import time

import av
import numpy as np
import psutil
import pytest
import soundfile
from graph.conftest import HANGS_S, atl, node_process
from PIL import Image as Picture
from std_srvs.srv import Trigger

from atl_bringup.graph import default_speech
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_face.media import SYNTHETIC_TAG, read_audio, read_frames, read_picture
from atl_msgs.srv import SetPortrait
from atl_node.stamps import to_ns


def stamp(message) -> int:
    return to_ns(message.header.stamp)


def test_frames_carry_the_media_time_of_their_sound(face, probe):
    frames = probe.wait("image_raw", 50)
    assert all((f.height, f.encoding, len(f.data)) == (512, "rgb8", 3 * f.height * f.width) for f in frames)
    steps = np.diff([stamp(f) for f in frames])
    assert np.mean(np.abs(steps - 40_000_000) < 1_000_000) > 0.9  # a busy machine may drop a frame, never bend time
    landmarks = {stamp(m): m for m in probe.seen["landmarks"]}
    assert sum(stamp(f) in landmarks for f in frames) >= 49
    chunk_times = {(c.stream_id, c.first_sample): stamp(c) for c in probe.seen["audio"]}
    checked = 0
    for frame in frames:
        mark = landmarks.get(stamp(frame))
        if mark and (start := chunk_times.get((mark.stream_id, mark.frame_index * 640))):
            assert abs(stamp(frame) - start) < 2_000_000
            checked += 1
    assert checked > 20


def test_landmark_messages_are_complete(face, probe):
    message = probe.wait("landmarks")[0]
    assert message.topology == "ibug68" and len(message.points) == 204 and len(message.weights) == 52
    assert message.portrait_id == probe.seen["portrait"][-1].id
    assert 0 < np.array(message.points).reshape(68, 3)[:, :2].min() < 1


def test_the_latched_portrait_makes_a_bag_complete(face, probe):
    message = probe.seen["portrait"][-1]
    portrait = load_portrait(default_portrait_path(), 512)
    assert message.format == "png" and np.array_equal(read_picture(bytes(message.data)), portrait.picture)
    assert np.allclose(message.crop, portrait.transform.matrix.ravel()) and message.id == portrait.id
    assert len(message.neutral) == 204 and (message.height, message.width) == (512, 512)


def test_sound_to_be_heard_follows_at_the_stated_delay(face, probe):
    heard = probe.wait("audio_playout", 50)
    assert np.allclose(np.diff([c.first_sample for c in heard]), 320)


def encoded(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Picture.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_without_a_face_is_refused_and_the_old_face_stays(face, probe):
    before = probe.seen["portrait"][-1].id
    answer = probe.call(SetPortrait, "set_portrait", SetPortrait.Request(data=encoded(np.full((300, 300, 3), 99, np.uint8))))
    assert not answer.ok and answer.reason == SetPortrait.Response.NO_FACE and "face" in answer.message
    answer = probe.call(SetPortrait, "set_portrait", SetPortrait.Request(path="/nowhere.png"))
    assert not answer.ok and answer.reason == SetPortrait.Response.UNREADABLE
    assert probe.wait("landmarks")[0].portrait_id == before
    probe.wait("image_raw", 5)


def test_a_portrait_is_swapped_while_the_face_talks(face, probe):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed: no other face can be looked for")
    picture = np.asarray(Picture.open(default_portrait_path()).convert("RGB"))[:, 64:-64]
    answer = probe.call(SetPortrait, "set_portrait", SetPortrait.Request(data=encoded(picture)))
    assert answer.ok, answer.message
    until = time.monotonic() + 10
    while probe.wait("image_raw")[0].width == 512:
        assert time.monotonic() < until, "the new portrait never appeared"
    assert probe.wait("landmarks")[0].portrait_id == probe.seen["portrait"][-1].id
    back = probe.call(SetPortrait, "set_portrait", SetPortrait.Request(path=str(default_portrait_path())))
    assert back.ok


def test_an_interrupt_begins_a_new_stream(face, probe):
    before = probe.wait("landmarks")[0].stream_id
    assert probe.call(Trigger, "interrupt", Trigger.Request()).success
    until = time.monotonic() + 5
    while probe.wait("landmarks")[0].stream_id == before:
        assert time.monotonic() < until, "the stream went on after the interrupt"
    probe.wait("image_raw", 5)


@pytest.mark.parametrize("name", ["landmark", "diffusion", "audio", "display"])
def test_a_killed_node_comes_back_and_the_face_goes_on(face, probe, name):
    victim = node_process(face, name)
    victim.kill()
    time.sleep(0.5)
    topic = "audio_playout" if name == "display" else "image_raw"
    probe.wait(topic, 25, timeout_s=25)
    assert node_process(face, name).pid != victim.pid


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10's watchdog would go by the system's time")
def test_a_node_that_hangs_is_started_again_and_the_face_goes_on(face, probe):
    victim = node_process(face, "landmark")
    for _ in range(3):  # its limit passes while it is stopped; then its proof of life and its end race
        if victim.is_running():
            victim.suspend()
            time.sleep(HANGS_S + 0.5)
            victim.resume()
            psutil.wait_procs([victim], timeout=2)
    probe.wait("image_raw", 25, timeout_s=25)
    assert node_process(face, "landmark").pid != victim.pid


def test_a_clip_is_recorded_through_the_topics(tmp_path):
    sound = read_audio(default_speech())[: 16000 * 3]
    soundfile.write(tmp_path / "speech.wav", sound, 16000)
    out = tmp_path / "clip.mp4"
    process = atl("run", "--audio", tmp_path / "speech.wav", "--out", out, env=other_domain())
    assert process.wait(60) == 0
    frames = list(read_frames(out))
    assert abs(len(frames) - 75) <= 1 and abs(len(read_audio(out)) - len(sound)) <= 640
    assert frames[0].shape == (512, 512, 3)
    assert np.abs(np.diff(np.stack(frames[::5]).astype(int), axis=0)).max() > 20  # a face that moves
    with av.open(str(out)) as container:
        assert container.metadata["comment"] == SYNTHETIC_TAG


def test_a_portrait_without_a_face_ends_the_graph_with_its_reason(tmp_path):
    Picture.new("RGB", (300, 300), (80, 90, 100)).save(tmp_path / "wall.png")
    process = atl("run", "--display", "none", "--portrait", tmp_path / "wall.png", env=other_domain(),
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    said, _ = process.communicate(timeout=40)
    assert process.returncode not in (0, None)
    assert "No face was found" in said and "Traceback" not in said


def other_domain():
    """Away from the graph that the other tests look at."""
    return os.environ | {"ROS_DOMAIN_ID": "101"}
