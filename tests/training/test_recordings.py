"""The library of recordings: what is held out stays so, long ones are cut at pauses."""

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="the corpus generator needs requirements of training/README.md: soundfile")
pytest.importorskip("soxr", reason="the corpus generator needs requirements of training/README.md: soxr")
pytest.importorskip("tqdm", reason="the corpus generator needs requirements of training/README.md: tqdm")

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus.recordings import Recordings
from atl_training.corpus.speech import write_speech
from atl_training.splits import held_out


def write_library(folder, voice, texts, words=("ah", "hm")):
    """A library of one voice: two words with a long pause between them, 6 s each."""
    (folder / voice.replace("/", "-")).mkdir(parents=True, exist_ok=True)
    for stem, text in texts.items():
        samples = np.random.default_rng(0).integers(-9000, 9000, 6 * SAMPLE_RATE).astype(np.int16)
        segments = [(0, 0.5, "pau"), (0.5, 2, "aa"), (2, 4, "pau"), (4, 5.5, "m"), (5.5, 6, "pau")]
        write_speech(folder / voice.replace("/", "-") / f"{stem}.npz", samples, segments, text=text,
                     words=np.array(words), word_times=np.array([(0.5, 2), (4, 5.5)]))  # fmt: skip


def test_recordings_keep_to_their_split(tmp_path):
    stems = [f"u{k}" for k in range(60)]
    held = [stem for stem in stems if held_out(stem)]
    spied = next(stem for stem in stems if not held_out(stem))
    texts = {stem: f"text of {stem}" for stem in stems} | {spied: f"Text of {held[0]}!"}
    write_library(tmp_path, "real/lj", texts)
    write_library(tmp_path, "real/reader_m", {"only-one": "for training or not"})
    library, rng = Recordings(tmp_path), np.random.default_rng(0)
    assert library.voices == ("real/lj",), "a voice with one split alone is not offered"
    assert {library.draw(rng, "real/lj", True).stem for _ in range(200)} == set(held)
    trained = {library.draw(rng, "real/lj", False).stem for _ in range(1000)}
    assert trained == set(stems) - set(held) - {spied}, "what says the same as a held-out one is not for training"


def test_recordings_of_many_people_are_split_by_voice(tmp_path):
    write_library(tmp_path, "real/librispeech_test", {"1-a": "the one", "1-b": "the other"})
    write_library(tmp_path, "real/librispeech", {f"2-{k}": f"text {k}" for k in range(30)} | {"2-same": "The other!"})
    library, rng = Recordings(tmp_path), np.random.default_rng(0)
    assert library.voices == ("real/librispeech", "real/librispeech_test")
    trained = {library.draw(rng, "real/librispeech", False).stem for _ in range(1000)}
    assert trained == {f"2-{k}" for k in range(30)}, "of whatever name: all but what a held-out one says, too"
    assert {library.draw(rng, "real/librispeech_test", True).stem for _ in range(50)} == {"1-a", "1-b"}


def test_long_recordings_are_cut_at_a_pause(tmp_path):
    write_library(tmp_path, "real/lj", {f"u{k}": f"ah hm {k}" for k in range(40)})
    library, rng = Recordings(tmp_path), np.random.default_rng(0)
    whole = library.draw(rng, "real/lj", True)
    assert whole.speech.duration_s == 6 and whole.speech.segments[-1] == (5.5, 6, "pau")
    cut = [library.draw(rng, "real/lj", True, longest_s=3.5) for _ in range(20)]
    assert {recording.text for recording in cut} == {"ah", "hm"}
    assert all(1.5 < recording.speech.duration_s < 2 for recording in cut)
    assert all(recording.speech.segments[0] == (0.0, pytest.approx(0.1), "pau") for recording in cut)


def test_a_phrase_that_is_held_out_is_not_cut_out_for_training(tmp_path):
    stems = [f"u{k}" for k in range(40)]
    write_library(tmp_path, "real/lj", {stem: "ah hm" for stem in stems if held_out(stem)})
    write_library(tmp_path, "real/lj", {stem: f"ah {stem}" for stem in stems if not held_out(stem)}, words=("ah", "oh"))
    library, rng = Recordings(tmp_path), np.random.default_rng(0)
    assert {library.draw(rng, "real/lj", False, longest_s=3.5).text for _ in range(50)} == {"oh"}


def test_no_library_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="atl-corpus recordings"):
        Recordings(tmp_path)
