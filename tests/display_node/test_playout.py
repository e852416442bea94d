"""The playout with a clock that the test holds: order, continuity, lateness, interrupts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_display_node.playout import SLOT_NS, Playout

MS = 1_000_000
DELAY_MS = 300
PICTURE = np.zeros((2, 2, 3), np.uint8)


def chunk_of(n, value=None):
    """20 ms whose samples tell where they come from: n + 1, or `value`."""
    return np.full(320, n % 30000 + 1 if value is None else value, np.int16)


def play(events, until_ms, delay_ms=DELAY_MS, step_ms=10):
    """Run (arrival_ms, push) events, tick every `step_ms`; returns (slots, shown, playout)."""
    playout, slots, shown = Playout(delay_ms / 1000), [], []
    events = sorted(events, key=lambda event: event[0])
    for now_ms in range(0, until_ms, step_ms):
        while events and events[0][0] <= now_ms:
            events.pop(0)[1](playout)
        due, frame = playout.tick(now_ms * MS)
        slots += [(now_ms, slot) for slot in due]
        if frame is not None:
            shown.append((now_ms, frame))
    return slots, shown, playout


def audio(n, stream=1, value=None, origin_ms=0):
    return lambda playout: playout.push_audio(stream, n * 320, (origin_ms + n * 20) * MS, chunk_of(n, value))


def frame(media_ms):
    return lambda playout: playout.push_frame(media_ms * MS, PICTURE)


@settings(max_examples=100, deadline=None)
@given(
    jitters=st.lists(st.integers(0, 150), min_size=5, max_size=60),
    frame_delays=st.lists(st.integers(60, 420), min_size=3, max_size=30),
    step_ms=st.sampled_from([1, 7, 10, 25]),
)
def test_whatever_arrives_in_time_is_played_in_order_once_and_on_time(jitters, frame_delays, step_ms):
    # a reliable topic keeps the order of its messages, so arrivals never run backwards
    arrivals = np.maximum.accumulate([n * 20 + jitter for n, jitter in enumerate(jitters)])
    events = [(int(at), audio(n)) for n, at in enumerate(arrivals)]
    events += [(n * 40 + late, frame(n * 40)) for n, late in enumerate(frame_delays)]
    until_ms = max(len(jitters) * 20, len(frame_delays) * 40) + 1000
    slots, shown, playout = play(events, until_ms, step_ms=step_ms)

    heard = np.concatenate([slot.samples for _, slot in slots])
    expected = np.concatenate([chunk_of(n) for n in range(len(jitters))])
    np.testing.assert_array_equal(heard[: expected.size], expected)  # all of it, in order, with no hole
    assert not heard[expected.size :].any()
    assert [slot.first_sample for _, slot in slots] == list(range(0, len(slots) * 320, 320))
    for now_ms, slot in slots:
        assert 0 <= now_ms - DELAY_MS - slot.media_time_ns / MS < step_ms

    times = [picture.media_time_ns for _, picture in shown]
    assert times == sorted(set(times))  # never back, none twice
    for (now_ms, picture), before in zip(shown, [-(10**9)] + [now for now, _ in shown], strict=False):
        late_ms = now_ms - DELAY_MS - picture.media_time_ns / MS
        assert late_ms >= 0
        assert late_ms < 40 or now_ms - before > 500 or before < 0  # late ones only where nothing else was shown
    counts = playout.counts
    never_shown = len(frame_delays) - counts.shown
    assert counts.shown == len(shown) and counts.skipped + counts.late + counts.stale >= never_shown


def test_frames_in_time_are_all_shown():
    events = [(n * 20, audio(n)) for n in range(200)] + [(n * 40 + 210, frame(n * 40)) for n in range(100)]
    _, shown, playout = play(events, 4400)
    assert len(shown) == 100 and playout.counts.late == playout.counts.skipped == 0
    assert abs(playout.counts.skew_ms) < 20


def test_a_late_frame_is_dropped_and_not_queued():
    events = [(n * 40 + (400 if n == 5 else 200), frame(n * 40)) for n in range(20)]
    _, shown, playout = play(events, 1500)
    assert [picture.media_time_ns // (40 * MS) for _, picture in shown] == [n for n in range(20) if n != 5]
    assert playout.counts.late == 1


def test_an_overloaded_renderer_shows_a_slow_face_rather_than_none():
    events = [(n * 40 + 900, frame(n * 40)) for n in range(100)]
    _, shown, playout = play(events, 5000)
    assert 6 <= len(shown) <= 10 and playout.counts.late > 80


def test_missing_sound_is_silence_and_the_rest_keeps_its_place():
    events = [(n * 20, audio(n)) for n in range(20) if n not in (7, 8)]
    slots, _, playout = play(events, 1000)
    values = [int(slot.samples[0]) for _, slot in slots[:20]]
    assert values == [0 if n in (7, 8) else n + 1 for n in range(20)]
    assert playout.counts.silent_samples >= 640


def test_sound_after_its_slot_is_dropped():
    events = [(n * 20 + (500 if n == 9 else 0), audio(n)) for n in range(40)]
    slots, _, playout = play(events, 1200)
    assert not slots[9][1].samples.any() and playout.counts.late_samples == 320


def test_stamps_that_jitter_do_not_tear_the_sound():
    rng, playout, heard = np.random.default_rng(0), Playout(0.3), []
    for n in range(100):
        playout.push_audio(1, n * 320, n * 20 * MS + int(rng.integers(-9, 9)) * MS, chunk_of(n))
        heard += [slot.samples for slot in playout.tick(n * 20 * MS)[0]]
    flat = np.concatenate(heard)
    flat = flat[flat > 0]
    assert np.all(np.diff(flat.astype(int)) >= 0) and flat.size >= 320 * 80
    assert set(np.unique(flat, return_counts=True)[1][:-1]) == {320}


def test_an_interrupt_is_silent_at_once_and_stops_the_mouth():
    loud = [(n * 20, audio(n, 1, 9000)) for n in range(50)]  # one second of speech
    quiet = [(1000 + n * 20, audio(n, 2, 0, origin_ms=1000)) for n in range(50)]
    frames = [(n * 40 + 200, frame(n * 40)) for n in range(50)]
    slots, shown, playout = play(loud + quiet + frames, 2400)
    assert all(slot.samples.any() == (now < 1000) for now, slot in slots if now >= 300)
    old = [now for now, picture in shown if picture.media_time_ns < 1000 * MS]
    fresh = [now for now, picture in shown if picture.media_time_ns >= 1000 * MS]
    assert max(old) < 1000 and 1200 <= min(fresh) < 1220  # as it came, not 300 ms after its media time
    assert playout.counts.interrupts == 1 and playout.counts.stale > 0
    late = [now - picture.media_time_ns // MS for now, picture in shown if now > 1800]
    assert set(late) == {DELAY_MS}  # the constant delay is back


def test_after_an_interrupt_speech_has_its_constant_delay_again():
    loud = [(n * 20, audio(n, 1, 9000)) for n in range(50)]
    again = [(1000 + n * 20, audio(n, 2, 9000 if n >= 5 else 0, origin_ms=1000)) for n in range(50)]
    frames = [(n * 40 + 200, frame(n * 40)) for n in range(50)]
    _, shown, _ = play(loud + again + frames, 2400)
    assert all(now - picture.media_time_ns // MS == DELAY_MS for now, picture in shown)


def test_a_new_stream_after_silence_is_no_interrupt():
    first = [(n * 20, audio(n, 1, 9000 if n < 25 else 0)) for n in range(50)]
    second = [(1000 + n * 20, audio(n, 2, 5000, origin_ms=1000)) for n in range(50)]
    frames = [(n * 40 + 200, frame(n * 40)) for n in range(50)]
    slots, shown, playout = play(first + second + frames, 2400)
    assert playout.counts.interrupts == playout.counts.stale == 0
    assert len(shown) == 50
    loud_ms = [now for now, slot in slots if slot.samples.any()]
    assert loud_ms[24] == 780 and loud_ms[25] == 1300


def test_stragglers_of_an_old_stream_are_not_heard():
    events = [
        (0, audio(0, 1, 9000)),
        (10, audio(0, 2, 1000)),
        (20, audio(1, 1, 9000)),
        (30, audio(1, 2, 1000)),
    ]
    slots, _, _ = play(events, 600)
    assert set(np.concatenate([slot.samples for _, slot in slots])) == {0, 1000}


@pytest.mark.parametrize("interrupted_first", [True, False])
def test_an_interrupt_beside_a_clock_that_is_set_back_freezes_nothing(interrupted_first):
    playout, base_ms = Playout(0.3), 100_000

    def at(now_ms, stream, n, value):
        playout.push_audio(stream, n * 320, now_ms * MS, chunk_of(n, value))
        playout.push_frame(now_ms * MS, PICTURE)
        return playout.tick(now_ms * MS)

    for n in range(50):
        at(base_ms + n * 20, 1, n, 9000)
    if interrupted_first:
        playout.push_audio(2, 0, (base_ms + 1000) * MS, chunk_of(0, 0))
    playout.tick(40_000 * MS)
    playout.push_audio(3, 0, 40_000 * MS, chunk_of(0, 9000))
    playout.push_audio(4, 0, 40_020 * MS, chunk_of(0, 0))  # an interrupt: frames are shown as they come
    playout.push_frame((base_ms + 900) * MS, PICTURE)  # was still on its way
    playout.tick(40_020 * MS)
    shown = sum(at(40_040 + n * 20, 4, n + 1, 0)[1] is not None for n in range(100))
    assert shown > 80


def test_a_bag_that_is_played_again_is_heard_again():
    playout, heard = Playout(0.3), 0
    for _ in range(2):
        for n in range(100):
            playout.push_audio(1 if n < 50 else 2, n % 50 * 320, (5000 + n * 20) * MS, chunk_of(n, 9000))
            heard += sum(slot.samples.any() for slot in playout.tick((5000 + n * 20) * MS)[0])
    assert heard > 120  # 300 ms are lost wherever a stream begins


@pytest.mark.parametrize("jump_ms", [30_000, -30_000])
def test_a_jump_of_the_clock_stops_neither_the_sound_nor_the_face(jump_ms):
    playout = Playout(0.3)
    base_ms = 100_000
    for n in range(50):
        playout.push_audio(1, n * 320, (base_ms + n * 20) * MS, chunk_of(n))
        playout.push_frame((base_ms + n // 2 * 40) * MS, PICTURE)
        playout.tick((base_ms + n * 20) * MS)
    base_ms += jump_ms
    heard, shown = [], 0
    for n in range(100):
        now_ns = (base_ms + n * 20) * MS
        playout.push_audio(2, n * 320, now_ns, chunk_of(n, 500))
        if n % 2 == 0:
            playout.push_frame(now_ns, PICTURE)
        slots, picture = playout.tick(now_ns)
        heard, shown = heard + slots, shown + (picture is not None)
    assert shown > 35, "25 a second, but for the delay"
    assert sum(slot.samples.any() for slot in heard) > 70
    assert len(heard) < 120


def test_sound_is_given_out_in_slots_of_20_ms_whatever_the_chunks():
    playout, tone = Playout(0.1), np.arange(1, 8001, dtype=np.int16)
    position, heard = 0, []
    for size in [7, 1000, 320, 1, 2000, 640, 4032]:
        playout.push_audio(1, position, position * 62_500, tone[position : position + size])
        position += size
    for n in range(0, 700, 10):
        heard += playout.tick(n * MS)[0]
    assert {slot.samples.size for slot in heard} == {320} and SLOT_NS == 20 * MS
    np.testing.assert_array_equal(np.concatenate([slot.samples for slot in heard])[:8000], tone)
