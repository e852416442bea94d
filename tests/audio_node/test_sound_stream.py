"""The paced stream with a clock that the test holds."""

import numpy as np
import pytest

from atl_audio_node.sound_stream import BURST, CHUNK_NS, SoundStream
from atl_audio_node.sources import LiveQueue, SilentSource

MS = 1_000_000
PAUSE = 20  # chunks: 0.4 s


class FileLike(SilentSource):
    """Chunks that count up from 1, then the end."""

    def __init__(self, chunks, padding=0):
        self.left, self.given, self.padding = chunks, 0, padding

    def read(self):
        if self.ended:
            return None
        self.given += 1
        return np.full(320, self.given, np.float32)

    @property
    def ended(self):
        return self.given >= self.left

    def interrupt(self):
        self.left = self.given


def run(stream, start_ns, seconds, step_ms=10):
    """Chunks of a stream that is pulled every `step_ms`."""
    chunks = []
    for n in range(int(seconds * 1000 / step_ms) + 1):
        chunks += stream.pull(start_ns + n * step_ms * MS)
    return chunks


def by_stream(chunks):
    streams = {}
    for chunk in chunks:
        streams.setdefault(chunk.stream_id, []).append(chunk)
    return list(streams.values())


def assert_paced(chunks):
    """Within each stream: no hole in the counter, and media time that follows from it."""
    for stream in by_stream(chunks):
        for n, chunk in enumerate(stream):
            assert chunk.first_sample == n * 320
            assert chunk.media_time_ns == stream[0].media_time_ns + n * CHUNK_NS
    times = [chunk.media_time_ns for chunk in chunks]
    assert np.all(np.diff(times) == CHUNK_NS)  # also across streams


def test_silence_goes_on_for_ever_at_the_clocks_pace():
    chunks = run(SoundStream(SilentSource()), 777, 10)
    assert len(chunks) == 501 and not any(chunk.samples.any() for chunk in chunks)
    assert chunks[-1].media_time_ns == 777 + 500 * CHUNK_NS
    assert_paced(chunks)


def test_jitter_of_the_caller_does_not_add_up():
    rng, stream, chunks, now_ns = np.random.default_rng(1), SoundStream(SilentSource()), [], 0
    while now_ns < 30_000 * MS:
        chunks += stream.pull(now_ns)
        now_ns += int(rng.integers(1, 60)) * MS
    assert_paced(chunks)
    assert now_ns - chunks[-1].media_time_ns < 150 * MS


def test_a_file_comes_whole_in_its_own_stream_and_its_end_is_told_once():
    stream = SoundStream(FileLike(100, padding=80), first_stream_id=7)
    chunks, ends = [], []
    for n in range(400):
        chunks += stream.pull(n * 10 * MS)
        if end := stream.take_end():
            ends.append((end, len(chunks)))
    assert [chunk.samples[0] for chunk in chunks[:100]] == list(range(1, 101))
    assert not any(chunk.samples.any() for chunk in chunks[100:]) and len(by_stream(chunks)) == 1
    ((end, after),) = ends
    assert (end.stream_id, end.samples, after) == (7, 100 * 320 - 80, 100)
    assert end.media_time_ns == chunks[0].media_time_ns + end.samples * 62_500
    assert_paced(chunks)


def test_a_held_stream_waits_with_everything():
    stream = SoundStream(FileLike(3))
    stream.held = True
    assert stream.pull(0) == [] and stream.next_due_ns is None
    stream.held = False
    assert stream.pull(5000 * MS)[0].media_time_ns == 5000 * MS


def test_a_file_catches_up_after_a_stall_in_bursts_and_loses_nothing():
    stream = SoundStream(FileLike(1000))
    chunks = run(stream, 0, 1)
    burst = stream.pull(2500 * MS)  # 1.5 s late
    assert len(burst) == BURST
    chunks += burst + run(stream, 2510 * MS, 2)
    assert [chunk.samples[0] for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert chunks[-1].media_time_ns == 4500 * MS or chunks[-1].media_time_ns > 4480 * MS
    assert_paced(chunks)


@pytest.mark.parametrize("jump_ms", [60_000, -60_000])
def test_a_jump_of_the_clock_begins_a_new_stream_at_now(jump_ms):
    source = FileLike(1000)
    stream = SoundStream(source)
    before = run(stream, 100_000 * MS, 1)
    after = run(stream, (101_000 + jump_ms) * MS, 1)
    assert after[0].stream_id == before[-1].stream_id + 1 and after[0].first_sample == 0
    assert after[0].media_time_ns == (101_000 + jump_ms) * MS
    assert after[0].samples[0] == before[-1].samples[0] + 1  # of the file nothing is lost


def test_a_microphones_backlog_is_given_up_and_seen_as_a_gap():
    queue = LiveQueue(backlog_limit=10, cushion=2)
    stream, number = SoundStream(queue), 0
    chunks = []
    for n in range(50):
        queue.put([np.full(320, n, np.float32)])
        chunks += stream.pull(n * 20 * MS)
    for number in range(50, 100):  # a second in which nobody pulls
        queue.put([np.full(320, number, np.float32)])
    late = stream.pull(2000 * MS)
    assert late[0].first_sample - chunks[-1].first_sample > 40 * 320
    assert late[0].samples[0] >= number - 10  # fresh sound
    assert late[0].media_time_ns == chunks[0].media_time_ns + late[0].first_sample * 62_500
    assert late[0].stream_id == chunks[0].stream_id and stream.gap_chunks >= 40 and queue.lost >= 38


def test_say_speaks_over_the_source_in_its_own_stream_with_a_pause_after_it():
    source = FileLike(1000)
    stream = SoundStream(source)
    chunks = run(stream, 0, 0.5)
    first, second = stream.say(np.full(1000, -1.0)), stream.say(np.full(640, -2.0))
    assert stream.speaking and first.state == "queued"
    chunks += run(stream, 510 * MS, 2)
    file_part, one, two, rest = by_stream(chunks)
    assert np.concatenate([chunk.samples for chunk in one])[:1000].tolist() == [-1.0] * 1000
    assert len(one) == 4 + PAUSE and len(two) == 2 + PAUSE
    assert not any(chunk.samples.any() for chunk in one[4:]) and not one[3].samples[40:].any()
    assert rest[0].samples[0] == file_part[-1].samples[0] + 1  # the file waited
    assert first.state == second.state == "said" and not stream.speaking
    assert_paced(chunks)


def test_interrupt_is_silent_at_once_in_a_new_stream():
    source = FileLike(1000)
    stream = SoundStream(source)
    utterance, waiting = stream.say(np.ones(16000)), stream.say(np.ones(16000))
    chunks = run(stream, 0, 0.2)
    stream.interrupt()
    after = run(stream, 210 * MS, 1)
    assert utterance.state == waiting.state == "cancelled" and 0 < utterance.position < 16000
    assert after[0].stream_id == chunks[-1].stream_id + 1 and after[0].first_sample == 0
    assert not any(chunk.samples.any() for chunk in after)  # the file has ended too
    assert_paced(chunks + after)


def test_interrupting_a_file_tells_its_end_in_its_own_stream():
    stream = SoundStream(FileLike(1000), first_stream_id=3)
    run(stream, 0, 1)
    stream.interrupt()
    end = stream.take_end()
    assert (end.stream_id, end.samples) == (3, 51 * 320) and stream.stream_id == 4


def test_a_file_that_is_interrupted_before_anybody_hears_it_ends_where_the_stream_begins():
    stream = SoundStream(FileLike(1000), first_stream_id=3)
    stream.held = True
    stream.interrupt()
    assert stream.pull(1000 * MS) == [] and stream.take_end() is None
    stream.held = False
    chunks = stream.pull(2000 * MS)
    end = stream.take_end()
    assert chunks[0].stream_id == end.stream_id and 0 <= end.media_time_ns - chunks[0].media_time_ns <= 40 * MS


def test_a_microphone_goes_on_after_an_interrupt_with_fresh_sound():
    queue = LiveQueue(backlog_limit=10, cushion=1)
    stream = SoundStream(queue)
    queue.put([np.ones(320, np.float32)] * 5)
    before = stream.pull(0)
    stream.interrupt()
    queue.put([np.full(320, 2, np.float32)])
    after = stream.pull(20 * MS)
    assert before[0].samples[0] == 1 and after[0].samples[0] == 2
    assert after[0].stream_id == before[0].stream_id + 1 and after[0].first_sample == 0


def test_cancelling_one_utterance_leaves_the_others():
    stream = SoundStream(SilentSource())
    first, second = stream.say(np.ones(16000)), stream.say(np.full(320, 2.0))
    chunks = run(stream, 0, 0.2)
    stream.cancel(first)
    chunks += run(stream, 210 * MS, 1)
    assert first.state == "cancelled" and second.state == "said"
    assert by_stream(chunks)[-1][0].samples[0] == 2.0
    assert_paced(chunks)
