"""Shards: what is written is read, broken files are told in one sentence, and the tools that look at them say what is true."""

import argparse
import io
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("webdataset", reason="shards need requirements of training/README.md: webdataset")
pytest.importorskip("av", reason="shards need requirements of training/README.md: av")
pytest.importorskip("soundfile", reason="shards need requirements of training/README.md: soundfile")
pytest.importorskip("matplotlib", reason="cards and sheets need requirements of training/README.md: matplotlib")

import av

from atl_diffusion_node.portrait import default_portrait_path
from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE, SAMPLE_RATE
from atl_face.topology import LEFT_OUTER_CANTHUS, RIGHT_OUTER_CANTHUS, eye_distance
from atl_training import card, inspect_shard, quality
from atl_training.shards import Sample, encode_sound, find_shards, read_shards, write_shard

FACE = {"what": "face", "licence": "CC0", "attribution": "MakeHuman"}
VOICE = {"what": "voice", "licence": "CC BY 4.0", "attribution": "VCTK"}
PORTRAIT_PX = 320


def made(key, *, frames=25, video=None, stills=None, licences=(FACE,), **facts):
    """A clip of noise with everything that a synthetic clip has."""
    rng = np.random.default_rng(len(key))
    landmarks = rng.uniform(80, 200, (frames, 68, 3)).astype(np.float32)
    landmarks[:, RIGHT_OUTER_CANTHUS], landmarks[:, LEFT_OUTER_CANTHUS] = (100, 120, 0), (180, 120, 0)
    arrays = {"landmarks": landmarks, "rotation": np.radians(np.tile([0.0, 10.0, 0.0], (frames, 1))),
              "speaking": np.arange(frames) >= frames // 5, "phoneme_start": np.array([0.0, 0.2]),
              "phoneme_end": np.array([0.2, 1.0]), "phoneme_name": np.array(["pau", "aa"])}  # fmt: skip
    sound = encode_sound(rng.normal(0, 0.1, frames * SAMPLE_RATE // FRAME_RATE).astype(np.float32))
    told = {"split": "train", "speaker": key, "frames": frames, "size": 0, "emotion": "happy", "level": 2, "text": key,
            "licences": list(licences), "kind": "synthetic", "voice": f"flite/{key}"} | facts  # fmt: skip
    return Sample(key, told, arrays, sound, video, stills)


def encoded(pictures):
    """Pictures (H, W, 3) as an MP4 file in memory."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", FRAME_RATE, width=pictures[0].shape[1], height=pictures[0].shape[0])
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture(scope="module")
def film():
    """The shipped portrait, ten frames long, as an MP4 file."""
    picture = cv2.cvtColor(cv2.imread(str(default_portrait_path())), cv2.COLOR_BGR2RGB)
    return encoded([cv2.resize(picture, (PORTRAIT_PX, PORTRAIT_PX), interpolation=cv2.INTER_AREA)] * 10)


def call(tool, *arguments):
    """Run a tool as its command line does."""
    parser = argparse.ArgumentParser()
    tool.add_arguments(parser)
    return tool.run(parser.parse_args([str(argument) for argument in arguments]))


def test_what_is_written_is_read(tmp_path, film):
    samples = [made("draft", text="Grüße!"), made("film", frames=10, video=film, stills=film, size=PORTRAIT_PX)]
    assert write_shard(tmp_path / "a.tar", samples) == 2
    back = list(read_shards([tmp_path]))
    for written, read in zip(samples, back, strict=True):
        assert (read.key, read.facts, read.sound) == (written.key, written.facts, written.sound)
        assert (read.video, read.stills) == (written.video, written.stills)
        assert read.arrays.keys() == written.arrays.keys()
        assert all(np.array_equal(read.arrays[name], written.arrays[name]) for name in written.arrays)
    draft, filmed = back
    assert draft.frames() == draft.still_frames() == [] and len(draft.audio) == SAMPLE_RATE
    assert [len(filmed.frames()), filmed.frames()[0].shape] == [10, (PORTRAIT_PX, PORTRAIT_PX, 3)]


def test_the_same_samples_give_the_same_bytes(tmp_path):
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, [made("one"), made("two")])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert find_shards([tmp_path]) == [tmp_path / "a.tar", tmp_path / "b.tar"], "no .part is left"


@pytest.mark.parametrize("broken", [lambda whole: whole[: len(whole) // 2], lambda whole: b"this is no tar " * 100])
def test_a_broken_shard_is_told_in_one_sentence(tmp_path, broken):
    path = tmp_path / "a.tar"
    write_shard(path, [made("one"), made("two")])
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(UserError, match="a.tar is no whole shard") as caught:
        list(read_shards([path]))
    assert "\n" not in str(caught.value)


def test_no_shards_are_told(tmp_path):
    with pytest.raises(UserError, match="holds no shards"):
        find_shards([tmp_path])


def write_corpus(folder, *more):
    """Three clips: two of training, 1 s and 3 s, and one of validation with a real person's voice."""
    write_shard(folder / "a.tar", [
        made("t1", text="Good day. How are you?", age=12.0, male=0.1, ancestry=[0.1, 0.7, 0.2]),
        made("t2", frames=75, voice="piper/joe", level=3),
        made("v1", split="val", voice="real/p225", voice_speaker="p225", licences=[FACE, VOICE]),
        *more,
    ])  # fmt: skip


def test_a_card_counts(tmp_path):
    write_corpus(tmp_path, made("v2", split="val", voice="piper/joe"))
    (tmp_path / "run.json").write_text(json.dumps({"command": "atl-corpus make", "seconds": 12.5, "machine": "a slow one"}))
    assert call(card, tmp_path) is None, "the shared voice breaks no rule"
    told = json.loads((tmp_path / "card.json").read_text())
    assert told["clips"] == {"train": 2, "val": 2} and told["frames"] == 150
    assert told["hours"]["picture"] == {"draft": pytest.approx(6 / 3600, abs=1e-6)}
    assert told["hours"]["sound"] == pytest.approx({"idle": 1.2 / 3600, "speech": 4.8 / 3600}, abs=1e-6)
    assert [told[what] for what in ("identities", "voice_speakers", "real_voices", "sentences")] == [4, 3, 1, 5]
    assert [(e["licence"], e["hours"]) for e in told["licences"]] == [
        ("CC0", pytest.approx(6 / 3600, abs=1e-6)), ("CC BY 4.0", pytest.approx(1 / 3600, abs=1e-6)),
    ]  # fmt: skip
    balance = told["balance"]
    assert balance["emotion"] == pytest.approx({"happy 2": 3 / 60, "happy 3": 3 / 60}, abs=1e-3)
    assert balance["ancestry"].keys() == {"asian"} and balance["sex"].keys() == {"female"}
    assert balance["phoneme"] == {"aa": 4} and balance["yaw"]["10"] == 150
    readme = (tmp_path / "README.md").read_text()
    assert "VCTK" in readme and "a slow one" in readme and "BROKEN" not in readme


def test_a_card_is_the_same_every_time(tmp_path):
    write_corpus(tmp_path)
    for name in ("a", "b"):
        call(card, tmp_path, "--out", tmp_path / name)
    for file in ("README.md", "card.json", "balance.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("facts,what,name", [
    ({"speaker": "t1"}, "identity", "t1"), ({"voice": "flite/t1"}, "voice", "flite/t1"),
    ({"text": "Bye! How are you?"}, "sentence", "how are you"), ({"text": "how ARE you"}, "sentence", "how are you"),
])  # fmt: skip
def test_a_leak_into_validation_is_found(tmp_path, capsys, facts, what, name):
    write_corpus(tmp_path, made("v2", split="val", **facts))
    assert call(card, tmp_path) == 1
    assert "BROKEN" in capsys.readouterr().out and "BROKEN" in (tmp_path / "README.md").read_text()
    leaks = json.loads((tmp_path / "card.json").read_text())["leaks"]
    assert {kind: names for kind, names in leaks.items() if names} == {what: [name]}


def test_what_recordings_share_is_told_but_breaks_no_rule(tmp_path):
    recorded = {"kind": "recorded", "dataset": "grid", "speaker": "s1", "voice": None, "text": "bin blue at f two now",
                "split_by": "clip"}  # fmt: skip
    write_corpus(tmp_path, made("r1", **recorded), made("r2", **recorded | {"split": "val"}))
    assert call(card, tmp_path) is None
    told = json.loads((tmp_path / "card.json").read_text())
    assert list(told["shared"].values()) == [["bin blue at f two now"], ["grid/s1"]]
    assert told["identities"] == 4 and told["real_voices"] == 2
    assert "Shared on purpose" in (tmp_path / "README.md").read_text()


def test_a_sheet_shows_drafts_and_films(tmp_path, film):
    bare = made("bare", frames=10, video=film)
    del bare.arrays["phoneme_start"], bare.arrays["phoneme_end"], bare.arrays["phoneme_name"]
    write_shard(tmp_path / "a.tar", [made("draft"), bare])
    call(inspect_shard, tmp_path, "--out", tmp_path / "sheet.png", "--columns", 3)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 3 * inspect_shard.CELL_PX and np.any(sheet[..., 1] > 250)
    call(inspect_shard, tmp_path, "--out", tmp_path / "plain.jpg", "--columns", 3, "--plain")
    plain = cv2.imread(str(tmp_path / "plain.jpg"))
    assert plain.shape == (inspect_shard.CELL_PX, 3 * inspect_shard.CELL_PX, 3), "the draft is left out"
    with pytest.raises(UserError, match="must end in"):
        call(inspect_shard, tmp_path, "--out", tmp_path / "sheet.gif")


def test_a_check_measures_a_known_shift_and_takes_it_away(tmp_path, film):
    pytest.importorskip("mediapipe", reason="the second opinion is mediapipe's, see training/README.md")
    sample = made("film", frames=10, video=film, age=70.0, glasses="round")
    seen = track(sample.frames()[::2]).repeat(2, axis=0)
    sample.arrays["landmarks"] = seen + [3.0, 4.0, 0.0]
    write_shard(tmp_path / "a.tar", [sample, made("draft")])
    assert call(quality, tmp_path, "--out", tmp_path / "check.json", "--every", 2) == 1, "aims are missed"
    told = json.loads((tmp_path / "check.json").read_text())
    shift = 100 * 5 / eye_distance(seen).mean()
    errors = told["overall"]["error_percent"]
    assert told["overall"]["clips"] == 1 and told["overall"]["found_percent"] == 100
    for part in quality.PARTS:
        assert errors["truth"][part] == pytest.approx(shift, rel=0.01)
        assert errors["truth without bias"][part] < 0.05
    assert {"age > 60", "glasses glasses", "emotion happy"} <= told["groups"].keys()
    assert told["worst"][0]["key"] == "film"


def test_drafts_alone_cannot_be_checked(tmp_path):
    write_shard(tmp_path / "a.tar", [made("draft")])
    with pytest.raises(UserError, match="only drafts"):
        call(quality, tmp_path, "--out", tmp_path / "check.json")
