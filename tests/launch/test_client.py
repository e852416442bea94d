"""`atl say`, `atl face`, `atl interrupt` talk to a running face."""

import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

pytest.importorskip("rclpy")


def atl(*words) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "atl_bringup.cli", *map(str, words)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)  # fmt: skip


def ended(process: subprocess.Popen) -> tuple[int, str]:
    out, error = process.communicate(timeout=30)
    assert "Traceback" not in error
    return process.returncode, (out + error).strip()


@pytest.fixture
def sounds(tmp_path):
    for name, seconds in (("short", 0.3), ("long", 60)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * np.sin(np.arange(int(16000 * seconds)) * 0.1), 16000)
    return tmp_path


def test_a_sound_is_said_whole_or_interrupted(graph, sounds):
    graph.start("atl_audio_node", source="silence")
    assert ended(atl("say", "--audio", sounds / "short.wav")) == (0, "Said.")
    code, told = ended(atl("say", "--audio", sounds / "short.wav", "--emotion", "happy"))
    assert (code, told) == (0, "Said.")
    saying = atl("say", "--audio", sounds / "long.wav")
    time.sleep(3)
    assert ended(atl("interrupt"))[0] == 0
    assert ended(saying) == (2, "atl: Interrupted.")


def test_where_nobody_is_that_is_said(sounds):
    for words in (("say", "hello"), ("interrupt",)):
        code, told = ended(atl(*words, "--namespace", "nobody"))
        assert code == 2 and "No face answers in /nobody" in told
    assert ended(atl("face", sounds / "nothing.png")) == (2, f"atl: There is no picture '{sounds}/nothing.png'.")


def test_a_new_face_is_shown_or_refused(graph, sounds):
    from atl_diffusion_node.portrait import default_portrait_path

    graph.start("atl_diffusion_node")
    assert ended(atl("face", default_portrait_path()))[0] == 0
    code, told = ended(atl("face", sounds / "short.wav"))
    assert code == 2 and "picture" in told
