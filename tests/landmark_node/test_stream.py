"""The landmark stream: streaming = offline, gaps, interrupts, silence, life."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_audio_node import __file__ as audio_room
from atl_face.emotion import Expression
from atl_face.media import read_audio
from atl_face.topology import WEIGHT, is_closed, lip_gap
from atl_landmark_node.face_model import average_neutral
from atl_landmark_node.follow import ChunkFollower
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkStream, landmarks_of


@pytest.fixture(scope="module")
def model():
    return SpeechModel()


@pytest.fixture(scope="module")
def sound():
    from pathlib import Path

    return read_audio(Path(audio_room).parent / "data" / "default_speech.flac")[:40000]


@pytest.fixture(scope="module")
def whole(model, sound):
    return landmarks_of(sound, average_neutral(), model)


def points(frames):
    return np.stack([f.points for f in frames])


def test_every_40_ms_gives_one_frame(whole, sound):
    assert [f.index for f in whole] == list(range(-(-len(sound) // 640)))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30))
def test_any_chunking_gives_the_whole_files_landmarks(model, sound, whole, sizes):
    stream = LandmarkStream(model)
    frames, at = [], 0
    for size in sizes:
        frames += stream.push(sound[at: at + size])
        at += size
    frames += stream.push(sound[at:])
    frames += stream.finish(len(sound))
    assert np.abs(points(frames) - points(whole)).max() < 1e-4


def test_chunks_through_the_follower_are_the_same_and_repeats_do_nothing(model, sound, whole):
    follower, frames = ChunkFollower(LandmarkStream(model)), []
    for at in range(0, len(sound), 320):
        frames += follower.push(7, at, sound[at: at + 320])
        frames += follower.push(7, at, sound[at: at + 320])  # a chunk that comes twice
    frames += follower.end(7, len(sound))
    assert np.abs(points(frames) - points(whole)).max() < 1e-4
    assert follower.lost_samples == 0


def test_an_end_that_is_told_before_the_last_sound_waits_for_it(model, sound, whole):
    follower = ChunkFollower(LandmarkStream(model))
    frames = list(follower.push(7, 0, sound[:-960]))
    assert not list(follower.end(7, len(sound)))
    frames += [*follower.push(7, len(sound) - 960, sound[-960:-320]), *follower.push(7, len(sound) - 320, sound[-320:])]
    assert np.abs(points(frames) - points(whole)).max() < 1e-4


def test_a_gap_is_bridged_and_media_time_stays_right(model, sound):
    follower, frames = ChunkFollower(LandmarkStream(model)), []
    for at in range(0, len(sound), 320):
        if not 8000 <= at < 12800:  # 300 ms lost
            frames += follower.push(1, at, sound[at: at + 320])
    frames += follower.end(1, len(sound))
    assert [f.index for f in frames] == list(range(-(-len(sound) // 640)))
    assert follower.lost_samples == 4800


@pytest.mark.parametrize("length", [32000, 32100])
def test_sound_after_the_end_has_its_frames_in_time_as_if_there_had_been_no_end(model, sound, length):
    follower, silence = ChunkFollower(LandmarkStream(model)), np.zeros(8000, np.float32)
    frames = list(follower.push(1, 0, sound[:length]))
    frames += follower.end(1, length)
    assert frames[-1].index == -(-length // 640) - 1
    for at in range(0, 8000, 320):
        later = list(follower.push(1, length + at, silence[at: at + 320]))
        assert all((f.index + 1) * 640 + 1280 <= length + at + 320 for f in later)
        frames += later
    straight = list(LandmarkStream(model).push(np.concatenate([sound[:length], silence])))
    assert [f.index for f in frames] == [f.index for f in straight]
    assert np.abs(points(frames) - points(straight)).max() < 1e-4


def test_joining_in_the_middle_begins_at_a_whole_frame(model, sound):
    follower = ChunkFollower(LandmarkStream(model))
    frames = []
    for at in range(6720, len(sound), 320):  # a respawned node hears chunk 21 first: sample 6720 lies inside frame 10
        frames += follower.push(3, at, sound[at: at + 320])
    assert frames[0].index == 11


def test_an_interrupt_closes_the_mouth_within_120_ms_without_a_jump(model, sound):
    stream = LandmarkStream(model)
    spoken = list(stream.push(sound))
    loudest = int(np.argmax(lip_gap(points(spoken))))
    stream = LandmarkStream(model)
    before = list(stream.push(sound[: (loudest + 1) * 640 + 1280]))
    stream.restart()
    after = list(stream.push(np.zeros(16000, np.float32)))
    gaps = np.concatenate([[lip_gap(before[-1].points)], lip_gap(points(after))])
    assert is_closed(gaps[4:]).all()
    assert np.abs(np.diff(gaps)).max() < 0.5 * gaps[0] + 0.01


def test_silence_keeps_the_mouth_shut_while_the_face_lives(model):
    frames = landmarks_of(np.zeros(16000 * 20, np.float32), average_neutral(), model)
    assert is_closed(lip_gap(points(frames))).mean() > 0.98
    blinks = np.array([f.weights[WEIGHT["eyeBlinkLeft"]] for f in frames]) > 0.9
    assert 2 <= np.sum(blinks[1:] & ~blinks[:-1]) <= 15
    assert np.std([f.rotation for f in frames], axis=0).min() > 1e-4
    assert not any(f.speaking for f in frames)


def test_speech_moves_the_mouth(whole):
    gaps = lip_gap(points(whole))
    assert gaps.std() > 0.01 and any(f.speaking for f in whole)


def test_the_same_seed_repeats_and_another_does_not(model, sound, whole):
    again = landmarks_of(sound, average_neutral(), model, seed=0)
    assert np.array_equal(points(again), points(whole))
    other = landmarks_of(sound, average_neutral(), model, seed=1)
    assert not np.allclose(points(other), points(whole))


def test_expression_and_style_act(model, sound):
    def drawn(**values):
        return points(landmarks_of(sound[:16000], average_neutral(), model, expression=Expression(**values)))

    neutral, happy = drawn(), drawn(label="happy", level=3)
    assert (happy[-1, 48, 0] < neutral[-1, 48, 0]) and (happy[-1, 54, 1] < neutral[-1, 54, 1])  # corners out and up
    still = drawn(style=0.0)
    assert np.ptp(still[:, 30, 0]) < 0.5 * np.ptp(neutral[:, 30, 0])


@pytest.mark.parametrize("noise", [
    np.random.default_rng(0).normal(0, 1e-3, 32000),  # a quiet room, -60 dBFS
    0.003 * np.sin(2 * np.pi * 50 * np.arange(32000) / 16000),  # hum
    np.full(32000, 0.01),  # DC
])
def test_sound_that_is_no_speech_leaves_the_mouth_alone(model, noise):
    frames = landmarks_of(noise.astype(np.float32), average_neutral(), model)
    assert is_closed(lip_gap(points(frames))).mean() > 0.9
