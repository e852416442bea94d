"""Loaders: layouts of public data sets, what a clip becomes, what is refused, and a load that nothing stops.

The clips are made here: the shipped synthetic portrait, moved sideways, with a tone.
"""
import argparse
import os
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the loaders need requirements of training/README.md: webdataset")
pytest.importorskip("tqdm", reason="the loaders need requirements of training/README.md: tqdm")
pytest.importorskip("mediapipe", reason="the loaders need mediapipe, see training/README.md")

import av
import cv2
import soundfile
from tqdm import tqdm

from atl_diffusion_node.portrait import default_portrait_path
from atl_face.detect import find_face
from atl_face.errors import UserError
from atl_face.media import read_picture
from atl_face.topology import EYE_LEFT, MOUTH, eye_distance
from atl_training.loaders.clip import STORED_PX, make_sample
from atl_training.loaders.layouts import Choices, Skipped, Source, list_sources
from atl_training.loaders.load import Workers, add_arguments, run
from atl_training.shards import Sample, find_shards, read_shards
from atl_training.splits import held_out

WIDTH, HEIGHT, FACE = 400, 260, 240  # px; FACE is the portrait's side
SPEED = 25  # px per second, to the right
RATE = 44100  # Hz
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
PORTRAIT = cv2.resize(read_picture(default_portrait_path()), (FACE, FACE), interpolation=cv2.INTER_AREA)
CODECS = {".mp4": ("libx264", "aac"), ".flv": ("flv", "aac"), ".mpg": ("mpeg1video", "mp2")}


def picture(*lefts: float) -> np.ndarray:
    """Grey, with the portrait at these distances from the left edge; it may stick out."""
    canvas = GREY
    for left in lefts:
        shift = np.array([[1, 0, left], [0, 1, 10]], np.float64)
        canvas = cv2.warpAffine(PORTRAIT, shift, (WIDTH, HEIGHT), dst=canvas.copy(), borderMode=cv2.BORDER_TRANSPARENT)
    return canvas


def moving(time: float) -> np.ndarray:
    return picture(60 + SPEED * time)


def tone(seconds: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def write(path: Path, draw=moving, fps=Fraction(25), seconds=1.0, sound=None, times=None, sound_at=0.0) -> Path:
    """A clip of `draw(time)`, at `times` or a constant rate, with `sound` s of a tone (0 is none) that begins at `sound_at`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = seconds if sound is None else sound
    with av.open(str(path), "w") as container:
        video = container.add_stream(CODECS[path.suffix][0], rate=fps, options={"threads": "1"})
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 2_000_000
        audio = container.add_stream(CODECS[path.suffix][1], rate=RATE, layout="mono") if sound else None
        if times is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        for time in np.arange(round(seconds * fps)) / float(fps) if times is None else times:
            frame = av.VideoFrame.from_ndarray(draw(time), format="rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            frame = av.AudioFrame.from_ndarray(tone(sound)[None], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, round(sound_at * RATE), Fraction(1, RATE)
            for converted in av.AudioResampler(format=audio.format.name, layout="mono", rate=RATE).resample(frame):
                container.mux(audio.encode(converted))
            container.mux(audio.encode(None))
    return path


def source(video: Path, **changes) -> Source:
    """A clip of a layout that says nothing."""
    said = {"sound": None, "speaker": "anna", "emotion": "neutral", "level": 0, "text": "", "licence": {}}
    return Source("test", video.stem, video.name, video, **said | changes)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("clip") / "moving.mp4")


# ---- layouts --------------------------------------------------------------------------------------------------------
def tree(root: Path, *files: str) -> Path:
    """Empty files: a layout looks at names only."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def bad_names(listing) -> list[str]:
    return [row.file for row in listing.skipped if row.code == "bad_name"]


def test_mead_is_parsed(tmp_path):
    root = tree(tmp_path, "M003/video/front/angry/level_2/001.mp4", "M003/audio/angry/level_2/001.m4a",
                "M003/video/left_30/angry/level_2/001.mp4", "W009/video/front/neutral/level_1/002.mp4",
                "W009/video/front/jolly/level_1/001.mp4", "W009/video/front/sad/level_4/001.mp4",
                "W009/video/front/sad/level_3/._001.mp4")  # fmt: skip
    listing = list_sources("mead", root, Choices())
    angry, neutral = listing.sources
    assert (angry.key, angry.speaker, angry.emotion, angry.level) == ("M003_front_angry_2_001", "M003", "angry", 2)
    assert angry.sound == root / "M003/audio/angry/level_2/001.m4a"
    assert (neutral.speaker, neutral.emotion, neutral.level, neutral.sound) == ("W009", "neutral", 0, None)
    assert bad_names(listing) == ["W009/video/front/jolly/level_1/001.mp4", "W009/video/front/sad/level_4/001.mp4"]
    assert [s.key for s in list_sources("mead", root, Choices(camera="left_30")).sources] == ["M003_left_30_angry_2_001"]


def test_crema_d_is_parsed(tmp_path):
    root = tree(tmp_path, "VideoFlash/1001_DFA_ANG_HI.flv", "AudioWAV/1001_DFA_ANG_HI.wav", "VideoFlash/1002_IEO_NEU_XX.flv",
                "VideoFlash/1040_ITH_SAD_X.flv", "VideoFlash/1002_IEO_JOY_XX.flv")  # fmt: skip
    listing = list_sources("crema-d", root, Choices())
    assert [(s.speaker, s.emotion, s.level, s.text) for s in listing.sources] == [
        ("1001", "angry", 3, "Don't forget a jacket."),
        ("1002", "neutral", 0, "It's eleven o'clock."),
        ("1040", "sad", 2, "I think I have a doctor's appointment."),
    ]
    assert listing.sources[0].sound == root / "AudioWAV/1001_DFA_ANG_HI.wav"
    assert bad_names(listing) == ["VideoFlash/1002_IEO_JOY_XX.flv"]


@pytest.mark.parametrize("video", ["s1/bbaf2n.mpg", "s1/video/bbaf2n.mpg", "s1/video/mpg_6000/bbaf2n.mpg"])
@pytest.mark.parametrize("align", ["s1/align/bbaf2n.align", "align/s1/bbaf2n.align", "align/bbaf2n.align"])
def test_grid_is_parsed(tmp_path, video, align):
    root = tree(tmp_path, video, align, "s1/swiw.mpg")
    (root / align).write_text("0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 74500 sil\n")
    listing = list_sources("grid", root, Choices())
    (said,) = listing.sources
    assert (said.key, said.speaker, said.emotion, said.level) == ("s1_bbaf2n", "s1", "neutral", 0)
    assert said.text == "bin blue at f two now"
    assert said.words == ((0.95, 1.18), (1.18, 1.36)), "the times of .align files count 25 kHz samples"
    assert bad_names(listing) == ["s1/swiw.mpg"]


def test_speakers_of_grid_do_not_share_a_folder_of_alignments(tmp_path):
    root = tree(tmp_path, "s1/bbaf2n.mpg", "s2/bbaf2n.mpg", "align/bbaf2n.align")
    assert {s.key: s.words for s in list_sources("grid", root, Choices()).sources} == {"s1_bbaf2n": None, "s2_bbaf2n": None}


def test_a_flat_folder_of_grid_takes_speaker_and_words_from_options(tmp_path):
    root = tree(tmp_path / "clips", "swwz9s.mp4")
    table = tmp_path / "alignments.tsv"
    table.write_text("clip\tstart_s\tend_s\tword\nswwz9s\t0\t0.5\tsil\nswwz9s\t0.5\t0.75\tset\n")
    (said,) = list_sources("grid", root, Choices(speaker="s1", alignments=table)).sources
    assert (said.speaker, said.text, said.words) == ("s1", "set white with z nine soon", ((0.5, 0.75),))
    assert list_sources("grid", root, Choices()).sources[0].speaker == "clips"
    table.write_text("clip\tbegin\nswwz9s\t0\n")
    with pytest.raises(UserError, match="no table of clip"):
        list_sources("grid", root, Choices(alignments=table))


def test_any_folder_is_read(tmp_path):
    root = tree(tmp_path / "mine", "ben/day 1/a.b.MOV", "ben/day 1/a.b.txt", "clara.mp4", "notes.doc", "ben/day_1/a_b.mkv")
    (root / "ben/day 1/a.b.txt").write_text("Good morning.\n")
    listing = list_sources("folder", root, Choices(licence="CC0"))
    assert [(s.key, s.speaker, s.text) for s in listing.sources] == [
        ("ben_day_1_a_b", "ben", "Good morning."), ("clara", "clara", ""),
    ]  # fmt: skip
    assert listing.sources[0].licence == {"what": "mine", "licence": "CC0", "attribution": ""}
    assert [(row.file, row.code) for row in listing.skipped] == [("ben/day_1/a_b.mkv", "duplicate")]


@pytest.mark.parametrize("layout", ["mead", "crema-d", "grid", "folder"])
def test_a_folder_without_clips_is_told(tmp_path, layout):
    with pytest.raises(UserError, match="holds no video"):
        list_sources(layout, tmp_path, Choices())
    with pytest.raises(UserError, match="no folder"):
        list_sources(layout, tmp_path / "gone", Choices())


# ---- one clip -------------------------------------------------------------------------------------------------------
def in_source(sample: Sample) -> np.ndarray:
    """The landmarks (T, 68, 2) in pixels of the video that was loaded."""
    crop = np.array(sample.facts["crop"])
    return (sample.arrays["landmarks"][..., :2] - crop[:, 2]) @ np.linalg.inv(crop[:, :2]).T


@pytest.mark.parametrize(("layout", "file"), [
    ("mead", "M003/video/front/sad/level_1/001.mp4"), ("crema-d", "VideoFlash/1001_DFA_ANG_XX.flv"),
    ("grid", "s1/bbaf2n.mpg"), ("folder", "anna/hello.mp4"),
])  # fmt: skip
def test_each_layout_gives_samples(tmp_path, layout, file):
    write(tmp_path / file)
    (said,) = list_sources(layout, tmp_path, Choices()).sources
    sample = make_sample(said)
    facts, landmarks = sample.facts, sample.arrays["landmarks"]
    assert (facts["frames"], facts["size"], facts["fps_source"], facts["source"]) == (25, STORED_PX, 25, file)
    assert facts["split"] == ("val" if held_out(f"{said.dataset}/{said.speaker}") else "train")
    assert landmarks.shape == (25, 68, 3) and landmarks.dtype == np.float32
    assert sample.arrays["lip_gap"].shape == (25,) and "speaking" not in sample.arrays
    assert sample.audio.size == 16000 and 0.25 < np.abs(sample.audio).max() < 0.35
    frames = sample.frames()
    assert len(frames) == 25 and frames[0].shape == (STORED_PX, STORED_PX, 3)
    apart = np.linalg.norm(find_face(frames[12])[:, :2] - landmarks[12, :, :2], axis=1)
    assert apart.mean() < 0.04 * eye_distance(landmarks[12]), "landmarks lie on the stored picture"


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(50)])
def test_constant_rates_become_25(tmp_path, fps):
    sample = make_sample(source(write(tmp_path / "a.mp4", fps=fps)))
    assert sample.facts["frames"] == 25 and abs(sample.facts["fps_source"] - fps) < 0.01
    left = in_source(sample)[..., 0].mean(1)
    assert abs(np.polyfit(np.arange(25) / 25, left, 1)[0] - SPEED) < 1, "each frame is of its time"


def test_a_lying_picture_is_set_upright(tmp_path):
    lying = np.rot90(cv2.copyMakeBorder(PORTRAIT, 80, 80, 10, 10, cv2.BORDER_REPLICATE))
    path = write(tmp_path / "phone.mp4", draw=lambda time: np.ascontiguousarray(lying))
    movie, picture, sound, rest = path.read_bytes().split(struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    matrices = [struct.pack(">9i", *m, 0, 0, 1 << 30) for m in ((65536, 0, 0, 0, 65536, 0), (0, 65536, 0, -65536, 0, 0))]
    path.write_bytes(movie + matrices[0] + picture + matrices[1] + sound + matrices[0] + rest)
    points = in_source(make_sample(source(path)))[0]
    assert points[MOUTH, 1].min() > points[EYE_LEFT, 1].max() + 20, "the mouth is below the eyes"


def test_sound_that_begins_later_stays_in_time(tmp_path, clip):
    late = make_sample(source(write(tmp_path / "late.mp4", sound_at=0.12))).audio
    assert np.abs(late[: int(0.11 * 16000)]).max() < 0.05 < np.abs(late[int(0.13 * 16000) : int(0.16 * 16000)]).max()
    assert np.abs(make_sample(source(clip)).audio[: int(0.03 * 16000)]).max() > 0.2


def test_words_split_and_sound_file(tmp_path, clip):
    wav = tmp_path / "a.wav"
    soundfile.write(wav, tone(1.0), RATE)
    said = source(clip, words=((0.3, 0.5),), sound=wav)
    sample = make_sample(said, "clip")
    assert np.flatnonzero(sample.arrays["speaking"]).tolist() == [6, 7, 8, 9, 10, 11, 12, 13], "0.06 s more on either side"
    assert (sample.facts["split"] == "val") == held_out("moving") and sample.facts["split_by"] == "clip"
    assert sample.audio.size == 16000


# ---- what is refused ------------------------------------------------------------------------------------------------
def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(20000))
    return path


def two_faces(time: float) -> np.ndarray:
    return cv2.copyMakeBorder(cv2.resize(np.hstack([PORTRAIT] * 2), (WIDTH, 200)), 30, 30, 0, 0, cv2.BORDER_REPLICATE)


UNEVEN = np.arange(25) / 25 + np.where(np.arange(25) % 5 == 4, 0.02, 0)  # every fifth frame comes half a frame late
BROKEN = {
    "truncated mp4": (lambda p: cut(write(p), 0.6), "unreadable", "can't be decoded"),
    "truncated flv": (lambda p: cut(write(p.with_suffix(".flv")), 0.6), "damaged", "ends after|Damaged frames"),
    "noise": (noise, "unreadable", "can't be decoded"),
    "no sound": (lambda p: write(p, sound=0), "no_sound", "no sound track"),
    "no picture": (lambda p: write(p, times=()), "no_video", "no picture"),
    "short": (lambda p: write(p, seconds=0.2), "too_short", "5 frames"),
    "slow": (lambda p: write(p, fps=Fraction(15)), "low_rate", "15.0 frames a second"),
    "uneven": (lambda p: write(p, times=UNEVEN), "variable_rate", "rate varies"),
    "half the sound": (lambda p: write(p, sound=0.5), "length_mismatch", "1.00 s of picture and 0.5"),
    "grey": (lambda p: write(p, draw=lambda time: GREY), "no_face", "No face in 25 of 25"),
    "now and then": (lambda p: write(p, draw=lambda t: GREY if t > 0.7 else moving(t)), "no_face", "No face in 7 of 25"),
    "two faces": (lambda p: write(p, draw=two_faces), "several_faces", "2 faces"),
    "leaving": (lambda p: write(p, draw=lambda time: picture(60 + 250 * time)), "leaves_frame", "reaches the edge"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_refused_with_its_reason(tmp_path, name):
    make, code, words = BROKEN[name]
    with pytest.raises(UserError, match=words) as refusal:
        make_sample(source(make(tmp_path / "a.mp4")))
    assert refusal.value.code == code


def test_silence_is_no_sound(tmp_path, clip):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    with pytest.raises(UserError, match="silence"):
        make_sample(source(clip, sound=tmp_path / "a.wav"))


# ---- a load ---------------------------------------------------------------------------------------------------------
def options(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


class Interrupted(tqdm):
    """A progress bar that is stopped by Ctrl-C in the second shard."""

    def update(self, count=1):
        super().update(count)
        if self.n == 3:
            raise KeyboardInterrupt


def test_a_load_is_interrupted_resumed_and_told(tmp_path, clip, monkeypatch, capsys):
    root, out = tmp_path / "mine", tmp_path / "shards"
    for speaker in ("anna", "ben", "clara"):
        (root / speaker).mkdir(parents=True)
        (root / speaker / "hello.mp4").write_bytes(clip.read_bytes())
    noise(root / "anna/noise.mp4")
    command = (root, "--layout", "folder", "--out", out, "--workers", 1, "--clips-a-shard", 2)
    with monkeypatch.context() as patch:
        patch.setattr("atl_training.loaders.load.tqdm", Interrupted)
        assert run(options(*command)) == 130
    assert [path.name for path in out.iterdir() if path.suffix != ".json"] == ["mine-00000.tar"], "no half shards"
    first = (out / "mine-00000.tar").stat().st_mtime_ns
    capsys.readouterr()
    for _ in range(2):  # goes on; then everything is there, what was skipped included
        assert run(options(*command)) == 0
        told = capsys.readouterr().out
        assert "anna/noise.mp4  It can't be decoded" in told
        assert "clips: 3, speakers: 3, hours: 0.00, skipped: 1 unreadable" in told
    assert [path.stat().st_mtime_ns == first for path in find_shards([out])] == [True, False]
    assert [sample.key for sample in read_shards([out])] == ["anna_hello", "ben_hello", "clara_hello"]
    assert (out / "skipped.tsv").read_text().splitlines()[1].startswith("anna/noise.mp4\tunreadable\t")
    assert run(options(*command, "--strict")) == 1
    with pytest.raises(UserError, match="other clips or with other options"):
        run(options(*command, "--split", "clip"))


def killed_by_ben(said: Source) -> Sample:
    """Stands for a codec that crashes on one file."""
    if said.speaker == "ben":
        os._exit(11)
    return Sample(said.key, {}, {}, b"")


def test_a_file_that_kills_its_process_is_skipped_and_named(clip):
    speakers = ("anna", "ben", "clara")
    with Workers(1, killed_by_ben) as workers:
        outcomes = workers.run([Source("test", n, n, clip, None, n, "neutral", 0, "", {}) for n in speakers], lambda: None)
    assert [type(outcome) for outcome in outcomes] == [Sample, Skipped, Sample]
    assert (outcomes[1].file, outcomes[1].code) == ("ben", "crashed")
