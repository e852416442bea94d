"""Pictures and sounds as people really have them; clips that say what they are."""
import io
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from atl_face.errors import UserError
from atl_face.media import SYNTHETIC_TAG, ClipWriter, read_audio, read_frames, read_picture


def tone(path, rate, channels, seconds=0.5):
    samples = np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate) * 0.5
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels), out.setsampwidth(2), out.setframerate(rate)
        out.writeframes((np.repeat(samples[:, None], channels, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("rate,channels", [(8000, 1), (16000, 1), (44100, 2), (48000, 2)])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path, rate, channels):
    sound = read_audio(tone(tmp_path / "a.wav", rate, channels))
    assert sound.dtype == np.float32 and abs(len(sound) - 8000) <= 2
    spectrum = np.abs(np.fft.rfft(sound[1000:7000]))
    assert abs(spectrum.argmax() * 16000 / 6000 - 440) < 5


def test_a_clip_carries_its_tag_frames_and_sound(tmp_path):
    path = tmp_path / "clip.mp4"
    with ClipWriter(path, (64, 48)) as clip:
        for k in range(25):
            clip.write_frame(np.full((48, 64, 3), 10 * k, np.uint8))
            clip.write_audio(np.zeros(640, np.float32))
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == SYNTHETIC_TAG
    assert len(list(read_frames(path))) == 25
    assert abs(len(read_audio(path)) - 16000) <= 640


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "CMYK", "1", "I;16"])
def test_every_colour_mode_becomes_rgb(mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 40000, np.uint16))
    else:
        image = Image.new("RGB", (30, 20), (200, 100, 50)).convert(mode)
    picture = read_picture(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)  # ITU-R BT.601's luma, as Pillow's
    wanted = {"L": (grey,) * 3, "LA": (grey,) * 3, "1": None, "I;16": (40000 >> 8,) * 3}.get(mode, (200, 100, 50))
    wanted = np.asarray(image.convert("RGB"), int) if mode == "P" else wanted  # dithered in a palette's colours
    assert picture.shape == (20, 30, 3) and picture.dtype == np.uint8
    if wanted is not None:
        assert np.abs(picture.astype(int) - wanted).max() <= 1
    else:  # black and white, dithered
        assert set(np.unique(picture)) == {0, 255} and picture.mean() == pytest.approx(grey, abs=10)


def test_exif_rotation_is_applied_and_transparency_is_grey():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_picture(encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif)).shape == (30, 20, 3)
    clear = read_picture(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))))
    assert clear[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("make", [
    lambda p: p / "missing.wav",
    lambda p: (p / "empty.wav").write_bytes(b"") and None or p / "empty.wav",
    lambda p: (p / "text.wav").write_text("no sound") and None or p / "text.wav",
])
def test_bad_sound_is_refused_in_a_sentence(tmp_path, make):
    with pytest.raises(UserError) as refused:
        read_audio(make(tmp_path))
    assert str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)


def test_bad_pictures_are_refused_in_a_sentence(tmp_path):
    good = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)))
    for bad in (b"", b"text", good[: len(good) // 2]):
        with pytest.raises(UserError):
            read_picture(bad)
    with pytest.raises(UserError):
        read_picture(tmp_path / "nothing.png")


def test_a_clip_needs_a_folder(tmp_path):
    with pytest.raises(UserError, match="isn.t there"):
        ClipWriter(tmp_path / "nowhere" / "clip.mp4", (64, 64))


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte", "~nosuchuser/face.png"])
def test_names_that_can_not_be_looked_up_are_told_in_a_sentence(name):
    for read in (read_audio, read_picture):
        with pytest.raises(UserError):
            read(name)


def test_a_clip_that_can_not_be_written_is_told_at_once(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        ClipWriter(tmp_path, (64, 48))
    with pytest.raises(UserError, match="isn't there or can't be written"):
        ClipWriter(tmp_path / "nosuch" / "clip.mp4", (64, 48))


FILLS_UP = """
import resource, signal, sys
import numpy as np
from atl_face.errors import UserError
from atl_face.media import ClipWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # the disk is full after 40 kB
clip, told = ClipWriter(sys.argv[1], (64, 48)), set()
rng = np.random.default_rng(0)
for _ in range(200):
    for write, what in ((clip.write_frame, rng.integers(0, 255, (48, 64, 3), np.uint8)), (clip.write_audio, np.zeros(640))):
        try:
            write(what)
        except UserError as error:
            told.add(str(error))
clip.close()
print(*told, sep="\\n")
"""


def test_a_disk_that_fills_up_is_told_in_one_sentence_however_often_one_writes(tmp_path):
    done = subprocess.run([sys.executable, "-c", FILLS_UP, tmp_path / "clip.mp4"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert len(done.stdout.splitlines()) == 1 and "can't be written" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here: no disk that is full")
def test_a_full_disk_is_told_in_a_sentence():
    with pytest.raises(UserError, match="can't be written"), ClipWriter("/dev/full", (64, 48)) as clip:
        for _ in range(60):
            clip.write_frame(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))


def test_a_clip_that_fails_leaves_the_one_before(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"an older clip")
    with pytest.raises(ZeroDivisionError), ClipWriter(path, (64, 48)) as clip:
        clip.write_frame(np.zeros((48, 64, 3), np.uint8))
        raise ZeroDivisionError
    assert path.read_bytes() == b"an older clip" and list(tmp_path.iterdir()) == [path]
    with ClipWriter(path, (64, 48)) as clip:
        clip.write_frame(np.zeros((48, 64, 3), np.uint8))
        assert path.read_bytes() == b"an older clip"
    assert sum(1 for _ in read_frames(path)) == 1 and list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_clip_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    link, real = tmp_path / "link.mp4", tmp_path / "there" / "real.mp4"
    link.symlink_to(real)
    with ClipWriter(link, (64, 48)) as clip:
        clip.write_frame(np.zeros((48, 64, 3), np.uint8))
    assert link.is_symlink() and sum(1 for _ in read_frames(real)) == 1


@pytest.mark.parametrize("samples, rate, sentence", [(np.float32([0.5]), 48000, "holds no sound"),
                                                     (np.float32([0, np.nan, 0]), 16000, "no sound .NaN"),
                                                     (np.float32([0, np.inf, 0]), 16000, "no sound .NaN")])  # fmt: skip
def test_what_is_no_sound_is_refused(tmp_path, samples, rate, sentence):
    soundfile.write(tmp_path / "odd.wav", samples, rate, subtype="FLOAT")
    with pytest.raises(UserError, match=sentence):
        read_audio(tmp_path / "odd.wav")
