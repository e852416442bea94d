"""When each phoneme of a recording is said: the best path, the ear that learns to hear it, and what the library keeps."""

import numpy as np
import pytest

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus import recordings
from atl_training.corpus.__main__ import main
from atl_training.corpus.speech import Speaker, Speech, read_segments
from atl_training.corpus.voices import VOICES, Manner, may_speak

pytest.importorskip("torch", reason="training needs torch: make training")
from atl_training.corpus import aligner  # noqa: E402
from atl_training.corpus.ear import LEAST, PHONES, ROW, Ear, best_path, load_ear, refined, spoken_at  # noqa: E402

TRUE = [(0, 0.2, "pau"), (0.2, 0.3, "m"), (0.3, 0.5, "aa"), (0.5, 0.56, "p"), (0.56, 0.8, "iy"), (0.8, 1.0, "pau")]


def heard(segments, count, doubt=0.0):
    """Log probabilities of an ear that hears these segments, with some doubt."""
    rng = np.random.default_rng(0)
    logits = doubt * rng.standard_normal((count, len(PHONES)))
    logits[np.arange(count), spoken_at(segments, count)] += 6
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


@pytest.mark.parametrize("doubt", [0, 1])
def test_the_best_path_is_what_was_heard(doubt):
    times = best_path(heard(TRUE, 100, doubt), [name for *_, name in TRUE])
    assert times == [(round(100 * a), round(100 * b)) for a, b, _ in TRUE]


def test_a_pause_may_vanish_and_a_phoneme_may_not():
    names = ["pau", "m", "pau", "aa", "t", "p", "iy", "pau"]
    times = dict(zip(enumerate(names), best_path(heard(TRUE, 100), names), strict=True))
    assert times[2, "pau"][0] == times[2, "pau"][1], "nobody paused there"
    start, end = times[4, "t"]
    assert end - start == LEAST, "nobody said it, but the text does"
    covered = [time for pair in times.values() for time in pair]
    assert covered == sorted(covered) and covered[0] == 0 and covered[-1] == 100


class Hears:
    """An ear that hears these segments."""

    def __init__(self, segments):
        self._segments = segments

    def hear(self, sound):
        return heard(self._segments, len(sound) // 160)


def test_phonemes_come_halfway_to_what_is_heard_and_pauses_fill_the_rest():
    given = [(0, 0.1, "pau"), (0.1, 0.3, "m"), (0.3, 0.4, "pau"), (0.4, 0.8, "aa")]
    ear = Hears([(0, 0.2, "pau"), (0.2, 0.4, "m"), (0.4, 0.7, "aa"), (0.7, 1, "pau")])
    found = refined(ear, np.zeros(SAMPLE_RATE, np.float32), given)
    assert [name for *_, name in found] == ["pau", "m", "pau", "aa", "pau"]
    times = [time for start, end, _ in found for time in (start, end)]
    assert times == pytest.approx([0, 0.15, 0.15, 0.35, 0.35, 0.4, 0.4, 0.75, 0.75, 1])


def test_schwa_and_its_stressed_sister_are_one_to_the_ear_and_keep_their_names():
    ear = Hears([(0, 0.3, "ah"), (0.3, 0.6, "n"), (0.6, 1, "pau")])
    found = refined(ear, np.zeros(SAMPLE_RATE, np.float32), [(0, 0.3, "ax"), (0.3, 0.6, "n")])
    assert ROW["ax"] == ROW["ah"] and [name for *_, name in found] == ["ax", "n", "pau"]
    assert found[0][1] == pytest.approx(0.3)


def test_a_text_too_long_for_its_sound_is_told():
    with pytest.raises(ValueError, match="too short"):
        refined(Ear(), np.zeros(1600, np.float32), [(0, 0.1, "m")] * 9)


def spoken_in_tones(rng) -> Speech:
    """A sound in which every phoneme has a pitch of its own."""
    names, at, segments, sound = ["m", "aa", "s", "iy"], 0.0, [], []
    for name in ["pau", *rng.choice(names, 6), "pau"]:
        length = 0.01 * int(rng.integers(6, 20))
        segments.append((at, at + length, str(name)))
        time = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
        sound.append(0.1 * np.sin(2 * np.pi * (400 + 600 * names.index(name)) * time) if name != "pau" else 0 * time)
        at += length
    return Speech(np.concatenate(sound).astype(np.float32), segments)


def test_an_ear_learns_to_find_phonemes(monkeypatch):
    monkeypatch.setattr(aligner, "BATCH", 6)
    monkeypatch.setattr(aligner, "EXCERPT", 100)
    monkeypatch.setattr(aligner, "DISTURBED", 0)
    monkeypatch.setattr(aligner, "other_throat", lambda rng, features: features)
    rng = np.random.default_rng(1)
    ear = aligner.train([spoken_in_tones(rng) for _ in range(40)], steps=120)
    off = []
    for _ in range(5):
        speech = spoken_in_tones(rng)
        names = [name for *_, name in speech.segments]
        for start, end, true in zip(*zip(*best_path(ear.hear(speech.samples), names), strict=True), speech.segments, strict=True):
            off += [abs(0.01 * start - true[0]), abs(0.01 * end - true[1])]
    assert np.mean(off) < 0.015


@pytest.mark.parametrize("engine, better", [("kokoro", True), ("flite", False)])
def test_times_of_rough_engines_alone_are_refined(engine, better, tmp_path, monkeypatch):
    said = np.full(SAMPLE_RATE, 9000, np.int16), SAMPLE_RATE, [(0, 1, "m")]
    monkeypatch.setattr(Speaker, "_speak", lambda self, request: said)
    with Speaker(tmp_path, lambda sound, segments: [(0, 0.5, "aa"), (0.5, 1, "m")]) as speaker:
        speech = speaker.say("Hm.", Manner(f"{engine}/jm_kumo"))
    assert [name for *_, name in speech.segments] == (["aa", "m"] if better else ["m"])


def test_the_library_keeps_the_times_that_were_refined(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "make_decoder", lambda: None)
    monkeypatch.setattr(recordings, "align", lambda decoder, sound, text: ([(0, 0.5, "m"), (0.5, 1, "aa")], [(0, 1, "ma")]))
    monkeypatch.setattr(recordings, "read_audio", lambda path: np.zeros(2 * SAMPLE_RATE, np.float32))
    source = recordings.Source("real/lj", "u1", "ma", tmp_path, (0.5, 1.5))
    given = []

    def refine(sound, phones):
        given.append(len(sound))
        return [(a + 0.1, b + 0.1, name) for a, b, name in phones]

    assert recordings.prepare([source], tmp_path / "out", refine) == [] and given == [SAMPLE_RATE]
    with np.load(tmp_path / "out/real-lj/u1.npz") as kept:
        assert read_segments(kept) == [(0, pytest.approx(0.6), "pau"), (pytest.approx(0.6), pytest.approx(1.1), "m"),
                                       (pytest.approx(1.1), pytest.approx(1.6), "aa"),
                                       (pytest.approx(1.6), 2, "pau")]  # fmt: skip


def test_words_move_with_their_phonemes():
    rough = [(0, 0.1, "pau"), (0.1, 0.2, "m"), (0.2, 0.4, "aa"), (0.4, 0.6, "pau"), (0.6, 0.9, "iy")]
    fine = [(0, 0.2, "pau"), (0.2, 0.3, "m"), (0.3, 0.5, "aa"), (0.5, 0.8, "iy")]
    words = recordings._moved([(0.1, 0.4, "ma"), (0.6, 0.9, "e")], rough, fine)
    assert words == [(pytest.approx(0.2), pytest.approx(0.5), "ma"), (pytest.approx(0.5), pytest.approx(0.8), "e")]


def test_silence_alone_has_a_path_too():
    assert best_path(heard([(0, 1, "pau")], 50), ["pau"]) == [(0, 50)]


def test_what_a_rough_engine_cannot_have_said_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Speaker, "_speak", lambda self, request: (np.full(800, 9000, np.int16), SAMPLE_RATE, [(0, 0.05, "m")]))
    with Speaker(tmp_path, lambda sound, segments: refined(Ear(), sound, segments * 9)) as speaker:
        with pytest.raises(UserError, match="kokoro/jm_kumo can't say"):
            speaker.say("Hm.", Manner("kokoro/jm_kumo"))


def test_an_ear_learns_from_no_voice_that_is_held_out(tmp_path, monkeypatch):
    said = []

    def say(self, text, manner):
        said.append(manner.voice)
        return Speech(np.zeros(1600, np.float32), [(0, 0.1, "m")])

    monkeypatch.setattr(Speaker, "say", say)
    monkeypatch.setattr(aligner, "random_sentence", lambda rng, validation: "A word.")
    assert all(len(aligner.speak(tmp_path, ("piper/joe",), seed)) == aligner.TOGETHER for seed in range(3))
    assert all(may_speak(VOICES[name], False) for name in said) and "piper/joe" not in said and len(set(said)) > 20


def test_what_is_no_aligner_is_told(tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"nothing of the kind")
    for path in (wrong, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"{path}.*atl-corpus aligner"):
            load_ear(path)


@pytest.mark.parametrize("options, sentence", [
    (["--without", "piper/jo"], "piper/jo can't be left out"),
    (["--without", "real/lj"], "real/lj can't be left out"),
    (["--without", *(voice.name for voice in aligner.known_voices())], "no voice to learn from"),
    (["--steps", "10"], "--steps must be 100"),
    (["--out", "."], "is a folder"),
])  # fmt: skip
def test_mistakes_are_told_before_anything_is_spoken(options, sentence, tmp_path, capsys):
    assert main(["aligner", "--out", str(tmp_path / "a"), *options]) == 2
    assert sentence in capsys.readouterr().err
