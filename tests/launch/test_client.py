"""`atl say`, `atl face`, `atl interrupt` talk to a running face."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("rclpy")

from atl_msgs.msg import AudioChunk, Portrait  # noqa: E402
from atl_node.qos import latched  # noqa: E402


def atl(*words) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "atl_bringup.cli", *map(str, words)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)  # fmt: skip


def ended(process: subprocess.Popen) -> tuple[int, str]:
    try:
        out, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "Traceback" not in error
    return process.returncode, (out + error).strip()


@pytest.fixture
def sounds(tmp_path):
    for name, seconds in (("short", 0.3), ("long", 20)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * np.sin(np.arange(int(16000 * seconds)) * 0.1), 16000)
    return tmp_path


def test_a_sound_is_said_whole_or_interrupted(graph, sounds):
    heard = []
    graph.start("atl_audio_node", source="silence")
    graph.node.create_subscription(AudioChunk, "audio", heard.append, 10)
    graph.wait_for(lambda: heard)
    assert ended(atl("say", "--audio", sounds / "short.wav")) == (0, "Said.")
    assert ended(atl("say", "--audio", sounds / "short.wav", "--emotion", "happy")) == (0, "Said.")
    saying = atl("say", "--audio", sounds / "long.wav")
    graph.wait_for(lambda: any(heard[-1].samples))
    assert ended(atl("interrupt"))[0] == 0
    assert ended(saying) == (2, "atl: Interrupted.")


def test_where_nobody_is_that_is_said(sounds):
    for words in (("say", "hello"), ("interrupt",)):
        code, told = ended(atl(*words, "--namespace", "nobody"))
        assert code == 2 and "No face answers in /nobody" in told
    assert ended(atl("face", sounds / "nothing.png")) == (2, f"atl: There is no picture '{sounds}/nothing.png'.")


def test_a_new_face_is_shown_or_refused(graph, sounds):
    from atl_diffusion_node.portrait import default_portrait_path

    shown = []
    graph.node.create_subscription(Portrait, "portrait", shown.append, latched())
    graph.start("atl_diffusion_node")
    graph.wait_for(lambda: shown)
    assert ended(atl("face", default_portrait_path()))[0] == 0
    code, told = ended(atl("face", sounds / "short.wav"))
    assert code == 2 and "picture" in told
