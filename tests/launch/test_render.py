"""`atl render` as a user calls it: clip, JSON line, repeatability, mistakes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from atl_bringup.graph import default_speech
from atl_diffusion_node.portrait import default_portrait_path
from atl_face.media import read_audio, read_frames


def render(*words) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "atl_bringup.cli", "render", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """1.5 s of speech in a file, and the path of the default portrait at an odd size (401 x 333)."""
    folder = tmp_path_factory.mktemp("render")
    sound = read_audio(default_speech())[16000 : 16000 + 24000]
    soundfile.write(folder / "speech.wav", sound, 16000)
    picture = Image.open(default_portrait_path()).convert("RGB").resize((333, 401))
    picture.save(folder / "odd.png")
    return folder / "speech.wav", folder / "odd.png"


def test_a_clip_of_the_portraits_size_and_the_sounds_length(speech, tmp_path):
    sound, portrait = speech
    done = render("--audio", sound, "--portrait", portrait, "--out", tmp_path / "a.mp4")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert len(frames) == told["frames"] and abs(len(frames) - 1.5 * 25) <= 1
    assert (told["width"], told["height"]) == (frames[0].shape[1], frames[0].shape[0]) == (332, 400)
    assert abs(len(read_audio(tmp_path / "a.mp4")) / 640 - len(frames)) <= 1
    assert told["seconds"] == len(frames) / 25 and told["fps"] > 0
    assert set(told["ms_per_frame"]) == {"landmarks", "warp", "guide", "network", "paste", "encode"}

    again = render("--audio", sound, "--portrait", portrait, "--out", tmp_path / "b.mp4", "--device", "cpu")
    assert again.returncode == 0
    assert all(np.array_equal(a, b) for a, b in zip(frames, read_frames(tmp_path / "b.mp4"), strict=True))
    other = render("--audio", sound, "--portrait", portrait, "--out", tmp_path / "c.mp4", "--seed", 1)
    assert other.returncode == 0
    assert not all(np.array_equal(a, b) for a, b in zip(frames, read_frames(tmp_path / "c.mp4"), strict=True))


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"--audio": "/nosuch.wav"}, "There is no file '/nosuch.wav'"),
        ({"--portrait": "/nosuch.png"}, "no picture file '/nosuch.png'"),
        ({"--out": "/nosuch/clip.mp4"}, "isn't there or can't be written"),
        ({"--out": "/tmp"}, "is a folder"),
        ({"--audio": "PORTRAIT"}, "can't be read as sound|has no sound"),
        ({"--portrait": "AUDIO"}, "wav can't be read as a picture: give a PNG, JPEG or WebP"),
    ],
)
def test_mistakes_are_told_in_one_sentence(speech, tmp_path, changes, sentence):
    import re

    given = {"--audio": speech[0], "--portrait": speech[1], "--out": tmp_path / "clip.mp4"} | changes
    names = {"AUDIO": speech[0], "PORTRAIT": speech[1]}
    done = render(*(names.get(word, word) for pair in given.items() for word in pair))
    assert done.returncode == 2 and re.search(sentence, done.stderr) and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
