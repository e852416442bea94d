"""Files, topics and the microphone as sources, the last one with sounddevice played by the test."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from atl_audio_node.file_source import FileSource
from atl_audio_node.microphone import MicrophoneSource
from atl_audio_node.sources import LiveQueue
from atl_audio_node.topic_source import TopicSource
from atl_face.errors import UserError
from atl_face.sound_devices import BACK_OFF_S

SECOND_NS = 1_000_000_000


@pytest.fixture
def ramp_file(tmp_path):
    samples = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)  # 3 chunks and 40 samples
    soundfile.write(tmp_path / "ramp.wav", samples, 16000, subtype="FLOAT")
    return tmp_path / "ramp.wav", samples


def test_a_file_is_given_whole_and_tells_its_padding(ramp_file):
    path, samples = ramp_file
    source = FileSource(path, loop=False)
    got = []
    while not source.ended:
        got.append(source.read())
    assert len(got) == 4 and source.padding == 280
    np.testing.assert_array_equal(np.concatenate(got)[:1000], samples)
    assert source.read() is None


def test_a_looped_file_goes_round_without_a_hole(ramp_file):
    path, samples = ramp_file
    source = FileSource(path, loop=True)
    got = np.concatenate([source.read() for _ in range(25)])
    np.testing.assert_array_equal(got, np.tile(samples, 8))
    assert not source.ended
    source.interrupt()
    assert source.ended and source.read() is None


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no file"):
        FileSource(tmp_path / "none.wav", loop=False)


def test_a_live_queue_waits_for_its_cushion_and_loses_old_sound():
    queue = LiveQueue(backlog_limit=10, cushion=2)
    chunks = [np.full(320, n, np.float32) for n in range(20)]
    queue.put(chunks[:1])
    assert queue.read() is None
    queue.put(chunks[1:2])
    assert queue.read()[0] == 0 and queue.read()[0] == 1 and queue.read() is None
    queue.put(chunks[2:13])  # eleven wait: one too many
    assert queue.lost == 9 and queue.read()[0] == 11 and queue.read()[0] == 12


def test_topic_takes_any_rate_in_bursts_and_loses_nothing():
    source, rate_hz = TopicSource(), 22050
    tone = (np.sin(np.arange(rate_hz * 3) * 0.1) * 9000).astype(np.int16)
    for start in range(0, tone.size, 1000):
        source.push(5, start, rate_hz, tone[start : start + 1000], now_ns=0)
    source.service(SECOND_NS)
    got = []
    while (chunk := source.read()) is not None:
        got.append(chunk)
    assert len(got) * 320 == pytest.approx(3 * 16000, abs=320) and source.lost == 0
    assert np.abs(np.concatenate(got)).max() == pytest.approx(9000 / 32768, rel=0.02)


def test_topic_counts_what_was_lost_on_its_way():
    source = TopicSource()
    source.push(1, 0, 16000, np.zeros(320, np.int16), 0)
    source.push(1, 960, 16000, np.zeros(320, np.int16), 0)
    assert source.lost == 2


def send(source, stream_id, first, count, now_ns):
    """Loud messages of 20 ms, from the one with the number `first` on."""
    for number in range(first, first + count):
        source.push(stream_id, 320 * number, 16000, np.full(320, 9000, np.int16), now_ns)


def heard(source):
    """How many chunks come before there is a hole."""
    count = 0
    while source.read() is not None:
        count += 1
    return count


def test_an_interrupted_utterance_is_not_heard_however_much_of_it_still_comes():
    source = TopicSource()
    send(source, 1, 0, 10, 0)
    source.interrupt()
    send(source, 1, 10, 10, SECOND_NS // 10)
    source.service(SECOND_NS // 5)
    assert heard(source) == 0
    send(source, 2, 0, 5, SECOND_NS // 5)
    assert heard(source) == 5


def test_after_a_pause_an_interrupted_sender_is_heard_again():
    source = TopicSource()
    send(source, 1, 0, 10, 0)
    source.interrupt()
    source.service(SECOND_NS)
    send(source, 1, 60, 5, SECOND_NS)
    assert heard(source) == 5


def test_a_voice_that_never_pauses_is_told_why_it_is_not_heard():
    source, told = TopicSource(), []
    send(source, 1, 0, 10, 0)
    source.interrupt()
    for number in range(10, 260):
        send(source, 1, number, 1, number * SECOND_NS // 50)
        source.service(number * SECOND_NS // 50)
        told.append(source.problem)
    assert heard(source) == 0 and told[100] == "" and "interrupted" in told[-1]
    source.service(10 * SECOND_NS)
    assert source.problem == ""


def test_of_a_live_voice_a_long_message_is_heard_whole():
    source = TopicSource(backlog_s=0.1)
    source.push(1, 0, 16000, np.full(4800, 9000, np.int16), 0)  # 300 ms
    assert heard(source) == 15 and source.lost == 0


def test_a_live_voice_is_not_late_for_good_and_outlives_an_interrupt():
    source = TopicSource(backlog_s=0.2)
    send(source, 1, 0, 100, 0)  # while somebody else spoke
    assert source.queued_s <= 0.2 and source.lost >= 90
    source.interrupt()
    assert source.queued_s == 0
    send(source, 1, 100, 5, 0)
    assert heard(source) == 5


def test_the_end_of_an_utterance_does_not_wait_for_the_next_one():
    source = TopicSource()
    source.push(1, 0, 16000, np.full(500, 9000, np.int16), 0)
    assert heard(source) == 0  # a cushion is waited for
    source.service(SECOND_NS)
    assert heard(source) == 2


@pytest.mark.parametrize("rate_hz", [0, 3999, 192001])
def test_topic_refuses_rates_that_sound_does_not_have_in_words(rate_hz):
    source = TopicSource()
    source.push(1, 0, rate_hz, np.zeros(320, np.int16), 0)
    assert f"sample_rate {rate_hz}: " in source.problem


class FakeSounddevice:
    """As much of sounddevice as a microphone needs, with devices that come and go."""

    class PortAudioError(Exception):
        pass

    def __init__(self):
        self.devices = [{"name": "USB mic", "max_input_channels": 1, "default_samplerate": 44100.0}]
        self.stream = None

    def __call__(self):
        return self

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return self.devices
        if not self.devices:
            raise self.PortAudioError("Error querying device -1")
        if isinstance(device, str) and device not in self.devices[0]["name"]:
            raise ValueError(f"No input device matching {device!r}")
        return self.devices[0]

    def InputStream(self, callback, **options):  # sounddevice's own name
        self.stream = SimpleNamespace(callback=callback, options=options, start=lambda: None, closed=False)
        self.stream.close = lambda ignore_errors: setattr(self.stream, "closed", True)
        return self.stream

    def play(self, seconds):
        rate_hz = self.stream.options["samplerate"]
        for _ in range(round(seconds * 100)):
            self.stream.callback(np.full((rate_hz // 100, 1), 0.1, np.float32), rate_hz // 100, None, None)


def test_a_microphone_is_resampled_from_its_own_rate():
    sound = FakeSounddevice()
    microphone = MicrophoneSource(load=sound)
    microphone.service(0)
    assert microphone.problem == "" and sound.stream.options["samplerate"] == 44100
    sound.play(0.15)
    chunks = [microphone.read() for _ in range(4)]
    np.testing.assert_allclose(np.concatenate(chunks[2:]), 0.1, atol=1e-3)


def test_no_microphone_says_what_to_do_and_backs_off():
    sound = FakeSounddevice()
    devices, sound.devices = sound.devices, []
    microphone, tries, now_s = MicrophoneSource(load=sound), [], 0.0
    microphone._load = lambda: tries.append(now_s) or sound
    while now_s < 40:
        microphone.service(int(now_s * SECOND_NS))
        now_s += 0.1
    waits = np.diff(tries)
    np.testing.assert_allclose(waits, [*BACK_OFF_S, 10.0][: len(waits)], atol=0.11)
    assert "plug one in" in microphone.problem
    sound.devices = devices
    microphone.service(int(60 * SECOND_NS))
    assert microphone.problem == "" and sound.stream is not None


def test_a_wrong_name_gets_the_list_of_devices():
    microphone = MicrophoneSource("headset", load=FakeSounddevice())
    microphone.service(0)
    assert "'headset'" in microphone.problem and "0: USB mic" in microphone.problem


def test_missing_portaudio_names_the_package():
    def load():
        raise OSError("PortAudio library not found")

    microphone = MicrophoneSource(load=load)
    microphone.service(0)
    assert "apt install libportaudio2" in microphone.problem


@pytest.mark.parametrize("how", ["deaf", "finished"])
def test_a_lost_microphone_is_noticed_and_taken_back(how):
    sound = FakeSounddevice()
    microphone = MicrophoneSource(load=sound)
    microphone.service(0)
    sound.play(0.1)
    microphone.service(SECOND_NS)
    first = sound.stream
    if how == "finished":
        first.options["finished_callback"]()
        microphone.service(2 * SECOND_NS)
    else:
        microphone.service(4 * SECOND_NS)
    assert "was lost" in microphone.problem and first.closed
    microphone.service(6 * SECOND_NS)
    assert microphone.problem == "" and sound.stream is not first


def test_this_machine_without_a_microphone_gives_a_sentence():
    """Really through PortAudio; a machine that has a microphone opens it."""
    microphone = MicrophoneSource()
    microphone.service(0)
    assert microphone.description or microphone.problem.endswith((".", "source."))
    microphone.close()
