"""`atl record`: a bag of the live graph that other readers open, and from which the same frames are made again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rosbags.rosbag2 import Reader

pytest.importorskip("rclpy")

from atl_bringup.cli import make_parser  # noqa: E402
from atl_bringup.graph import default_speech  # noqa: E402
from atl_bringup.record import END_TIMEOUT_S, Recording, SoundEnd  # noqa: E402
from atl_evaluation.bag import TYPES, pictures, read_bag  # noqa: E402
from atl_evaluation.events import Chunk, Marks, Shown  # noqa: E402
from atl_evaluation.rerun import Rerun  # noqa: E402
from atl_evaluation.storage import own_types  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_face.media import read_audio  # noqa: E402

SECONDS = 2.0
# The recorder, too, hears the first word; a busy machine drops no frame.
PARAMETERS = """
/**/audio: {ros__parameters: {min_subscribers: 3}}
/**/diffusion: {ros__parameters: {max_delay_s: 60.0, governor: false}}
"""


def atl(*words, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "atl_bringup.cli", *map(str, words)], text=True, **options)


def test_the_sound_is_over_when_its_last_frame_has_landmarks():
    ends = SoundEnd()
    ends.end(7, 640 * 10)  # latched from long ago
    ends.hear(8)
    assert not ends.is_over(0.0)
    ends.end(8, 640 * 10 + 1)
    for index in range(10):
        ends.mark(8, index)
    assert not ends.is_over(1.0)
    ends.mark(8, 10)
    assert ends.is_over(1.1) and not ends.gave_up


def test_landmarks_that_never_come_are_not_waited_for():
    ends = SoundEnd()
    ends.hear(8)
    ends.end(8, 6400)
    assert not ends.is_over(10.0) and not ends.is_over(10.0 + 0.9 * END_TIMEOUT_S)
    assert ends.is_over(10.1 + END_TIMEOUT_S) and ends.gave_up


def serialized_chunk(first: int) -> bytes:
    types = own_types()
    stamp = types.types["builtin_interfaces/msg/Time"](sec=5, nanosec=0)
    header = types.types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
    chunk = types.types[TYPES["audio"]](header=header, stream_id=1, first_sample=first, sample_rate=16000,
                                        samples=np.arange(320, dtype=np.int16))  # fmt: skip
    return types.serialize_cdr(chunk, TYPES["audio"])


def test_what_was_flushed_survives_a_killed_recorder(tmp_path):
    recording = Recording(tmp_path / "bag", "/robot_face", ["audio"])
    for k in range(100):
        recording.write("/robot_face/audio", 5 * 10**9 + k * 20 * 10**6, serialized_chunk(320 * k))
    recording.flush()
    recording.write("/robot_face/audio", 10 * 10**9, serialized_chunk(32000))  # is lost
    shutil.copytree(tmp_path / "bag", tmp_path / "killed")
    bag = read_bag(tmp_path / "killed")
    assert len(bag.of(Chunk)) == 100 and "cut off" in bag.problems[1]
    recording.close()
    assert len(read_bag(tmp_path / "bag").of(Chunk)) == 101
    with pytest.raises(UserError, match="is there already"):
        Recording(tmp_path / "bag", "/robot_face", ["audio"])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """(bag, the recorder's JSON line) of a graph that says a short sentence, recorded from before its start to its end."""
    folder = tmp_path_factory.mktemp("record")
    soundfile.write(folder / "speech.wav", read_audio(default_speech())[16000 : 16000 + int(16000 * SECONDS)], 16000)
    (folder / "params.yaml").write_text(PARAMETERS)
    environment = os.environ | {"ROS_DOMAIN_ID": "102"}
    graph = atl("run", "--display", "none", "--audio", folder / "speech.wav", "--no-loop", "--params", folder / "params.yaml",
                env=environment, stdout=subprocess.DEVNULL)  # fmt: skip
    recorder = atl("record", "--out", folder / "bag", "--until-end", "--images", env=environment, stdout=subprocess.PIPE)
    try:
        said, _ = recorder.communicate(timeout=120)
        assert recorder.returncode == 0
    finally:
        graph.terminate()
        graph.wait(10)
        recorder.kill()
    return folder / "bag", json.loads(said)


def test_a_recorded_bag_opens_in_other_readers(recorded):
    mcap_reader = pytest.importorskip("mcap.reader", reason="mcap isn't installed: requirements/dev.txt")
    mcap_ros2 = pytest.importorskip("mcap_ros2.decoder", reason="mcap-ros2-support isn't installed: requirements/dev.txt")
    path, told = recorded
    counts = dict.fromkeys(told["messages"], 0)
    with next(path.glob("*.mcap")).open("rb") as file:
        reader = mcap_reader.make_reader(file, decoder_factories=[mcap_ros2.DecoderFactory()])
        for _, channel, _, message in reader.iter_decoded_messages():
            counts[channel.topic] += 1
            if channel.topic == "/robot_face/landmarks":
                assert message.topology == "ibug68" and len(message.points) == 204
        profiles = {c.topic: c.metadata["offered_qos_profiles"] for c in reader.get_summary().channels.values()}
    assert counts == told["messages"] and counts["/robot_face/portrait"] >= 1 and counts["/robot_face/audio_end"] == 1
    assert "transient_local" in profiles["/robot_face/portrait"] and "volatile" in profiles["/robot_face/audio"]
    with Reader(path) as reader:  # metadata.yaml agrees with the file
        assert reader.message_count == sum(counts.values())


def test_what_was_recorded_is_made_again(recorded):
    """Exactly: landmarks to the last float32 bit, pictures to the byte."""
    bag = read_bag(recorded[0])
    assert bag.problems == [] and len(bag.of(Shown)) >= 1
    (sound,) = bag.sounds().values()
    assert sound.first_sample == 0 and sound.lost == 0 and sound.ended and len(sound.samples) == 16000 * SECONDS
    live = {(marks.stream_id, marks.frame.index): marks for marks in bag.of(Marks)}
    again = {(frame.stream_id, frame.index): frame for frame in Rerun(bag, draws=False)}
    assert len(live) >= 25 * SECONDS and live.keys() <= again.keys()
    assert all(again[key].stamp_ns == marks.stamp_ns for key, marks in live.items())
    # the node may have moved an average face until the portrait, which the recorder had before it, had come to it, too
    alike = [key for key, marks in live.items() if marks.portrait_id]
    assert len(alike) >= 25 * (SECONDS - 1) and all(again[key].portrait_id == live[key].portrait_id for key in alike)
    for key in alike:
        frame, marks = again[key].landmarks, live[key].frame
        assert np.array_equal(np.float32(frame.points), marks.points)
        assert np.array_equal(np.float32(frame.weights), marks.weights)
    # a picture is what it is by the four frames that end with it (unet.py): one that followed a dropped frame isn't made again
    seen, compared, unbroken = dict(pictures(bag)), 0, 0
    for _, frame in zip(range(40), Rerun(bag, driven_by="landmarks"), strict=False):
        unbroken = unbroken + 1 if frame.stamp_ns in seen else 0
        if unbroken >= 4:
            assert np.array_equal(frame.picture, seen[frame.stamp_ns]), f"frame {frame.index}"
            compared += 1
    assert compared >= 3


def test_sigterm_ends_a_recording_in_good_order_and_silence_is_told(tmp_path):
    recorder = atl("record", "--out", tmp_path / "bag", env=os.environ | {"ROS_DOMAIN_ID": "103"}, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)  # fmt: skip
    until = time.monotonic() + 30
    while not (tmp_path / "bag").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(3)
    recorder.send_signal(signal.SIGTERM)
    _, said = recorder.communicate(timeout=20)
    assert recorder.returncode == 2 and "No message came in /robot_face: is the graph running" in said
    assert not (tmp_path / "bag").exists(), "nothing that stands in the way of the next try"


@pytest.mark.parametrize("words, sentence", [
    (["--seconds", "nan"], "no number of seconds"), (["--seconds", "abc"], "no number of seconds"),
    (["--seconds", "0"], "no number of seconds"), (["--namespace", "bad name!"], "no namespace"),
    (["--namespace", ""], "no namespace"),
])  # fmt: skip
def test_wrong_options_are_told(capsys, words, sentence):
    with pytest.raises(SystemExit):
        make_parser(("record",)).parse_args(["record", *words])
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("name", ["~nouser_of_this_name/bag", "x" * 300, "a\0b"])
def test_a_bag_that_can_not_be_made(name):
    with pytest.raises(UserError, match="can't be made"):
        Recording(Path(name), "/robot_face", ["audio"])


def test_a_recording_whose_end_is_awaited_does_not_wait_for_ever_for_a_graph(tmp_path):
    hasty = "from atl_bringup import cli, recorder; recorder.WAIT_S = 1.0; raise SystemExit(cli.main())"
    for words in (["--seconds", "1"], ["--until-end"]):
        done = subprocess.run([sys.executable, "-c", hasty, "record", "--out", str(tmp_path / "bag"), *words], text=True,
                              env=os.environ | {"ROS_DOMAIN_ID": "104"}, capture_output=True, timeout=30)  # fmt: skip
        assert done.returncode == 2 and "No message came" in done.stderr and not (tmp_path / "bag").exists()
