"""Text to sound through espeak-ng, and a request to say something from its beginning to its end."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from atl_audio_node import speech
from atl_audio_node.say_job import SayJob, prepare
from atl_audio_node.sound_stream import SoundStream
from atl_audio_node.sources import SilentSource
from atl_face.errors import UserError

NOTHING = np.zeros(0, np.int16)
needs_voice = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


@needs_voice
def test_text_becomes_speech():
    samples = speech.synthesise("Hello, how are you?")
    assert 0.8 < samples.size / 16000 < 4 and 0.1 < np.abs(samples).max() <= 1.0


@needs_voice
def test_text_is_never_an_option():
    assert speech.synthesise("--version -x help").size > 16000


@needs_voice
def test_an_unknown_voice_is_a_sentence():
    with pytest.raises(UserError, match="zz9.*does not exist"):
        speech.synthesise("Hello.", voice="zz9")


def test_without_a_voice_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(speech.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="apt install espeak-ng"):
        speech.synthesise("Hello.")


@pytest.mark.parametrize("text", ["", "  \n", "x" * 6000])
def test_nothing_and_too_much_are_refused(text):
    with pytest.raises(UserError):
        speech.synthesise(text)


def test_samples_are_resampled():
    tone = (np.sin(np.arange(48000) * 0.02) * 8000).astype(np.int16)
    assert prepare("", tone, 48000, "en", 160).size == 16000


@pytest.mark.parametrize("rate_hz", [0, 1, 3999, 192001, 2**32 - 1])
def test_rates_that_sound_does_not_have_are_refused(rate_hz):
    with pytest.raises(UserError, match=f"sample_rate {rate_hz}: "):
        prepare("", np.ones(100, np.int16), rate_hz, "en", 160)


def test_less_than_a_sample_is_refused():
    with pytest.raises(UserError, match="too short"):
        prepare("", np.ones(1, np.int16), 192000, "en", 160)


def test_an_expression_that_is_none_is_refused_with_the_request():
    sound = np.ones(3200, np.int16)
    with pytest.raises(UserError, match="no emotion 'joy'"):
        prepare("", sound, 16000, "en", 160, SimpleNamespace(**EXPRESSION | {"label": "joy"}))
    with pytest.raises(UserError, match="intensity"):
        prepare("", sound, 16000, "en", 160, SimpleNamespace(**EXPRESSION | {"label": "happy", "intensity": 5.0}))
    assert len(prepare("", sound, 16000, "en", 160, SimpleNamespace(**EXPRESSION))) == 3200


@pytest.mark.parametrize("voice", ["en\0", "en\n"])
def test_a_voice_that_is_no_name_is_refused(voice):
    with pytest.raises(UserError, match="no voice"):
        speech.synthesise("Hello.", voice=voice)


EXPRESSION = {"label": "", "intensity": 1.0, "level": 0, "style": 1.0, "gaze_yaw": 0.0, "gaze_pitch": 0.0}


def job_of(stream, worker, *request):
    job = SayJob(stream, worker, *request, "en", 160)
    worker.submit(lambda: None).result()  # the worker is one thread: what came before is done
    return job


def test_a_job_runs_from_samples_to_said():
    stream = SoundStream(SilentSource())
    with ThreadPoolExecutor(1) as worker:
        job = job_of(stream, worker, "", np.ones(3200, np.int16), 16000)
        assert not job.poll() and not job.begins() and job.progress == 0.0
        for n in range(6):
            stream.pull(n * 20_000_000)
        assert (
            job.begins()
            and not job.begins()
            and job.progress == pytest.approx(0.6)
            and job.elapsed_s == pytest.approx(0.12)
        )
        assert not job.poll()
        for n in range(6, 12):
            stream.pull(n * 20_000_000)
        assert job.poll() and job.ok and job.elapsed_s == pytest.approx(0.2)


def test_a_job_that_cannot_be_said_ends_with_the_sentence():
    with ThreadPoolExecutor(1) as worker:
        job = job_of(SoundStream(SilentSource()), worker, "", NOTHING, 0)
        assert job.poll() and not job.ok and "nothing to say" in job.message


def test_a_bug_costs_the_request_only(monkeypatch):
    monkeypatch.setattr("atl_audio_node.say_job.resample", lambda *_: 1 / 0)
    with ThreadPoolExecutor(1) as worker:
        job = job_of(SoundStream(SilentSource()), worker, "", np.ones(3200, np.int16), 48000)
        assert job.poll() and not job.ok and "ZeroDivisionError" in job.message


def test_a_job_cancelled_before_its_sound_is_ready_is_never_said():
    stream = SoundStream(SilentSource())
    with ThreadPoolExecutor(1) as worker:
        job = job_of(stream, worker, "", np.ones(3200, np.int16), 16000)
        job.cancel("Cancelled.")
        assert job.poll() and not job.ok and not stream.speaking
