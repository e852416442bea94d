"""The recorder: every frame and sample on one timeline, and the file sink's clip read back."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_display_node.recorder import Recorder
from atl_face.errors import UserError
from atl_face.media import SYNTHETIC_TAG, ClipWriter

MS = 1_000_000
START = 5_000_000_000


class ListWriter:
    """Keeps what it is given."""

    def __init__(self, size=None):
        self.size, self.frames, self.sound, self.closed = size, [], [], 0

    def write_frame(self, image):
        self.frames.append(int(image[0, 0, 0]))

    def write_audio(self, samples):
        self.sound.append(samples)

    def close(self):
        self.closed += 1


def picture(value, height=4, width=6):
    return np.full((height, width, 3), value, np.uint8)


def record(frames, chunks=100, end_ms=2000):
    writers = []
    recorder = Recorder(lambda size: writers.append(ListWriter(size)) or writers[-1])
    for n in range(chunks):
        recorder.take_audio(1, n * 320, START + n * 20 * MS, np.full(320, n, np.int16))
    recorder.end_sound(1, START + end_ms * MS)
    for n in frames:
        recorder.take_frame(START + n * 40 * MS, picture(n % 256))
    complete = recorder.complete
    recorder.close()
    return recorder, writers[0] if writers else None, complete


def test_all_frames_in_order():
    recorder, writer, complete = record(range(60))
    assert complete and recorder.frames == 50 and recorder.missing == 0
    assert writer.frames == list(range(50)) and writer.size == (6, 4) and writer.closed == 1
    sound = np.concatenate(writer.sound) * 32768
    np.testing.assert_array_equal(sound, np.repeat(np.arange(100), 320))


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 49), min_size=1))
def test_a_missing_frame_is_the_one_before_it(present):
    recorder, writer, complete = record(sorted(present))
    assert len(writer.frames) == 50 and recorder.missing == 50 - len(present)
    assert complete == (49 in present)
    for n, shown in enumerate(writer.frames):
        earlier = [k for k in present if k <= n]
        assert shown == (max(earlier) if earlier else min(present))


def test_a_frame_twice_or_from_before_the_sound_is_left_out():
    recorder, writer, _ = record([-2, -1, 0, 1, 1, 0, 2, *range(3, 50)])
    assert writer.frames == list(range(50)) and recorder.surplus >= 2


def test_lost_sound_is_silence_of_the_same_length():
    writer = ListWriter()
    recorder = Recorder(lambda size: writer)
    for n in (0, 1, 4, 5):
        recorder.take_audio(1, n * 320, START + n * 20 * MS, np.full(320, 100, np.int16))
    recorder.take_frame(START, picture(1))
    recorder.close()
    sound = np.concatenate(writer.sound)
    assert sound.size == 6 * 320 and not sound[640:1280].any() and recorder.missing_samples == 640


def test_a_new_stream_goes_on_on_the_same_timeline():
    writer = ListWriter()
    recorder = Recorder(lambda size: writer)
    recorder.take_audio(1, 0, START, np.full(320, 1, np.int16))
    recorder.take_audio(2, 0, START + 20 * MS, np.full(320, 2, np.int16))
    recorder.take_frame(START, picture(1))
    np.testing.assert_array_equal(np.concatenate(writer.sound) * 32768, np.repeat([1, 2], 320))


def test_a_stream_that_begins_off_the_grid_of_frames_keeps_them_all():
    writer = ListWriter()
    recorder = Recorder(lambda size: writer)
    recorder.take_audio(1, 0, START, np.ones(320, np.int16))
    recorder.take_audio(2, 0, START + 20 * MS, np.ones(6400, np.int16))
    for n in range(10):
        recorder.take_frame(START + 20 * MS + n * 40 * MS, picture(n))
    assert writer.frames == [0, *range(10)]  # the first stream's 20 ms have no frame of their own


HOUR = 3_600_000 * MS
FAR = [20 * 8766 * HOUR, HOUR, -HOUR]


@pytest.mark.parametrize("jump_ns", [*FAR, 2001 * MS, -2001 * MS])
@pytest.mark.parametrize("lag", [0, 30, 80])  # frames by which pictures come later than their sound
def test_a_clip_goes_on_where_the_clock_was_set(jump_ns, lag):
    writer, start = ListWriter(), 2 * HOUR
    recorder = Recorder(lambda size: writer)

    def time_of(frame):
        return start + frame * 40 * MS + (jump_ns if frame >= 100 else 0)

    for k in range(200 + lag):
        if k < 200:
            stream = 1 + k // 100
            recorder.take_audio(stream, k % 100 * 640, time_of(k), np.full(640, k, np.int16))
        if k == 199:
            recorder.end_sound(2, time_of(199) + 40 * MS)
        if k >= lag:
            recorder.take_frame(time_of(k - lag), picture(k - lag))
    assert recorder.complete
    recorder.close()
    np.testing.assert_array_equal(np.concatenate(writer.sound) * 32768, np.repeat(np.arange(200), 640))
    assert writer.frames == list(range(200)) and recorder.missing == recorder.missing_samples == recorder.surplus == 0


@pytest.mark.parametrize("jump_ns", FAR)
def test_a_frame_or_an_end_from_another_time_fills_nothing_up(jump_ns):
    writer = ListWriter()
    recorder = Recorder(lambda size: writer)
    recorder.take_audio(1, 0, 2 * HOUR, np.ones(3200, np.int16))
    recorder.take_frame(2 * HOUR, picture(0))
    recorder.take_frame(2 * HOUR + jump_ns, picture(1))
    assert writer.frames == [0] and recorder.surplus == 1
    recorder.end_sound(1, 2 * HOUR + jump_ns)
    recorder.close()
    assert len(writer.frames) <= 105


def test_a_counter_gone_mad_gives_no_hours_of_silence():
    recorder = Recorder(ListWriter)
    recorder.take_audio(1, 0, START, np.ones(320, np.int16))
    recorder.take_audio(1, 2**40, START + 2**40 * 62_500, np.ones(320, np.int16))
    recorder.take_audio(1, 2**40 + 320, START + (2**40 + 320) * 62_500, np.ones(320, np.int16))
    assert recorder.samples == 960 and recorder.missing_samples == 0


@pytest.mark.parametrize("stream", [1, 2])  # the end's own stream goes on in silence, or another one came since
def test_an_end_from_long_before_the_clip_does_not_end_it(stream):
    recorder = Recorder(ListWriter)
    recorder.end_sound(1, START - HOUR)
    recorder.take_audio(stream, 160_000, START, np.ones(6400, np.int16))
    for k in range(5):
        recorder.take_frame(START + k * 40 * MS, picture(k))
    assert recorder.frames == 5 and recorder.samples == 6400 and not recorder.complete
    recorder.end_sound(stream, START + 400 * MS)
    assert recorder.frames_wanted == 10


@pytest.mark.parametrize("end_ms, frames", [(60, 2), (-1000, 1)])  # in the second case all its chunks were lost
def test_the_end_of_a_very_short_sound_may_come_before_its_first_chunk(end_ms, frames):
    recorder = Recorder(ListWriter)
    recorder.end_sound(1, START + end_ms * MS)
    assert recorder.frames_wanted is None
    recorder.take_audio(1, 0, START, np.ones(3200, np.int16))
    assert recorder.frames_wanted == frames and recorder.samples == max(0, end_ms * 16)


def test_without_a_frame_there_is_no_clip():
    recorder, writer, _ = record([])
    assert writer is None and recorder.frames == 0


def test_sound_and_clip_are_equally_long_for_any_length():
    for samples in (100, 639, 640, 16001, 31999):
        writer = ListWriter()
        recorder = Recorder(lambda size, writer=writer: writer)
        chunks = -(-samples // 320)
        for n in range(chunks):
            recorder.take_audio(1, n * 320, START + n * 20 * MS, np.ones(320, np.int16))
        recorder.end_sound(1, START + samples * 62_500)
        for n in range(80):
            recorder.take_frame(START + n * 40 * MS, picture(n % 256))
        recorder.close()
        assert abs(len(writer.frames) - samples / 640) <= 1


def test_another_size_in_the_midst_of_a_clip_is_cut_or_padded():
    writer = ListWriter()
    recorder = Recorder(lambda size: writer)
    recorder.take_audio(1, 0, START, np.ones(1280, np.int16))
    recorder.take_frame(START, picture(1, 5, 7))
    recorder.take_frame(START + 40 * MS, picture(2, 9, 3))
    assert writer.frames == [1, 2]


def test_the_clip_on_disk_has_frames_sound_and_tag(tmp_path):
    path = tmp_path / "clip.mp4"
    recorder = Recorder(lambda size: ClipWriter(path, size))
    tone = (np.sin(np.arange(32000) * 0.2) * 9000).astype(np.int16)
    for n in range(100):
        recorder.take_audio(1, n * 320, START + n * 20 * MS, tone[n * 320 : n * 320 + 320])
    recorder.end_sound(1, START + 2000 * MS)
    for n in range(50):
        recorder.take_frame(START + n * 40 * MS, picture(n * 5, 64, 64))
    recorder.close()
    with av.open(str(path)) as clip:
        values = [frame.to_ndarray(format="rgb24").mean() for frame in clip.decode(video=0)]
    with av.open(str(path)) as clip:
        samples = sum(frame.samples for frame in clip.decode(audio=0))
        assert clip.metadata["comment"] == SYNTHETIC_TAG
    np.testing.assert_allclose(values, np.arange(50) * 5, atol=4)
    assert samples == pytest.approx(32000, abs=1100)  # AAC works in blocks of 1024


def test_a_writer_that_failed_is_left_alone():
    class Full:
        def write_audio(self, samples):
            pass

        def write_frame(self, image):
            raise UserError("the disk is full")

        def close(self):
            raise AssertionError("it has failed already")

    recorder = Recorder(lambda size: Full())
    recorder.take_audio(1, 0, 0, np.zeros(3200, np.int16))
    with pytest.raises(UserError):
        recorder.take_frame(0, np.zeros((4, 4, 3), np.uint8))
    recorder.abandon()
    recorder.close()
