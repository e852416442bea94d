"""A bag through the cores: the same frames every time, and what each kind of message does."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from evaluation import bags
from evaluation.bags import START_NS

from atl_diffusion_node.portrait import Portrait, default_portrait_path, load_portrait
from atl_evaluation.bag import read_bag
from atl_evaluation.rerun import Rerun
from atl_face.errors import UserError
from atl_face.media import read_audio
from atl_landmark_node import __file__ as landmark_room
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of

SHIPPED = Path(landmark_room).parent / "data" / "speech_landmarks.onnx"


@pytest.fixture(scope="module")
def face() -> Portrait:
    """The shipped portrait as a bag gives it back: small, and its landmarks float32."""
    core = load_portrait(default_portrait_path(), 192)
    return Portrait(core.id, core.picture, core.transform, np.float64(np.float32(core.neutral)))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """2 s, int16."""
    atl_audio_node = pytest.importorskip("atl_audio_node")
    sound = read_audio(f"{atl_audio_node.__path__[0]}/data/default_speech.flac")[16000:48000]
    return np.int16(32767 * sound)


@pytest.fixture
def rerun(tmp_path):
    """rerun(messages, **arguments of Rerun)"""
    count = iter(range(99))
    return lambda messages, **options: Rerun(read_bag(bags.write(tmp_path / f"bag{next(count)}", messages)), **options)


def test_the_start_of_a_stream_that_came_late_is_put_where_it_belongs(rerun, face, speech):
    told = [shown(face), *bags.chunks(speech[:12800])]
    late = list(told)
    late[1:5] = [(topic, told[8][1] + 1000 + k, message) for k, (topic, _, message) in enumerate(told[1:5])]
    straight, mended = (list(rerun(messages, draws=False)) for messages in (told, late))
    assert [frame.index for frame in mended] == list(range(20))
    assert all(np.array_equal(a.landmarks.points, b.landmarks.points) for a, b in zip(straight, mended, strict=True))


def shown(face, at_ns: int = START_NS - 10**9):
    return "/robot_face/portrait", at_ns, bags.portrait(face, at_ns)


def picture_hash(frames) -> str:
    return hashlib.sha256(b"".join(frame.picture.tobytes() for frame in frames)).hexdigest()


def test_frames_are_the_same_to_the_byte_and_landmarks_those_of_the_whole_sound(rerun, face, speech):
    again = rerun([shown(face), *bags.chunks(speech[:12800])])  # 0.8 s
    frames = list(again)
    truth = landmarks_of(speech[:12800].astype(np.float32) / 32768, face.neutral, SpeechModel())
    assert len(frames) == len(truth) == 20 and not again.problems
    apart = [np.abs(frame.landmarks.points - true.points).max() for frame, true in zip(frames, truth, strict=True)]
    assert max(apart) < 1e-6, "chunks and the whole may be rounded differently, as the processor's library likes"
    assert [frame.stamp_ns for frame in frames] == [START_NS + k * 40_000_000 for k in range(20)]
    assert {(frame.stream_id, frame.portrait_id, frame.picture.shape) for frame in frames} == {(1, face.id, (192, 192, 3))}
    assert set(frames[0].times_ms) == {"landmarks", "warp", "guide", "network", "paste"}
    assert picture_hash(frames) == picture_hash(again)
    recorded = [("/robot_face/landmarks", frame.stamp_ns + 2 * 10**8,
                 bags.landmarks(1, frame.index, frame.landmarks.points, face.id)) for frame in frames]  # fmt: skip
    # the portrait logged last, as a latched one may be: recorded landmarks say whose they are
    assert picture_hash(frames) == picture_hash(rerun([*recorded, shown(face, START_NS + 10**10)], driven_by="landmarks"))
    assert not np.array_equal(frames[0].picture, next(iter(rerun([shown(face), *bags.chunks(speech[:6400])],
                                                                 parameters={"diffusion": {"seed": 1}}))).picture)  # fmt: skip


def test_a_portrait_is_swapped_between_two_frames(rerun, face, speech):
    narrow = Portrait("other", face.picture[:, :152].copy(), face.transform, face.neutral)
    messages = sorted([shown(face), *bags.chunks(speech[:9600]), shown(narrow, START_NS + 3 * 10**8)], key=lambda m: m[1])
    frames = list(rerun(messages))
    widths = [frame.picture.shape[1] for frame in frames]
    # frame k needs 40 (k + 1) + 80 ms of sound: at 300 ms frames 0 to 4 were made
    assert widths == [192] * 5 + [152] * 10 and frames[5].portrait_id == "other"


def test_expressions_interrupts_and_bad_messages_do_what_they_do_live(rerun, face, speech):
    happy = ("/robot_face/expression", START_NS, bags.expression("happy", 1.0, 3))
    wrong = ("/robot_face/expression", START_NS + 1, bags.expression("happy", 7.0))
    rate = ("/robot_face/audio", START_NS + 2, bags.chunk(1, 0, speech[:320], rate=44100))
    first = bags.chunks(speech[:16000])[:-1]  # interrupted: it has no end
    second = bags.chunks(speech[16000:], stream=2, start_ns=START_NS + 10**9)
    plain = list(rerun([shown(face), *first, *second], draws=False))
    smiling = rerun([shown(face), happy, wrong, rate, *first, *second], draws=False)
    frames = list(smiling)
    assert [(f.stream_id, f.index) for f in frames] == [*((1, k) for k in range(23)), *((2, k) for k in range(25))]
    assert frames[23].stamp_ns == START_NS + 10**9 and frames[0].picture is None
    smile = frames[0].landmarks.weights.size and [f.landmarks.weights.sum() - p.landmarks.weights.sum()
                                                  for f, p in zip(frames, plain, strict=True)]  # fmt: skip
    assert 0 < smile[0] < smile[20]
    assert dict(smiling.problems) == {"expressions were out of range: ignored": 1, "chunks of sound aren't 16000 Hz: ignored": 1}
    lost = rerun([shown(face), *first[:10], *first[12:]], draws=False)
    assert len(list(lost)) == 23 and lost.lost_samples == 640


def test_a_bag_without_portrait_takes_the_given_one(rerun, face, speech):
    sound = bags.chunks(speech[:3200])
    with pytest.raises(UserError, match="holds no portrait: give the picture"):
        rerun(sound)
    given, held = list(rerun(sound, portrait=face)), list(rerun([shown(face), *sound]))
    assert len(given) == 5 and picture_hash(given) == picture_hash(held)
    marks = [("/robot_face/landmarks", START_NS, bags.landmarks(1, 0, face.neutral, "somebody"))]
    stranger = rerun([shown(face), *marks], driven_by="landmarks")
    assert [frame.picture for frame in stranger] == [None]
    assert dict(stranger.problems) == {"frames were meant for another portrait: not drawn": 1}
    drawn = rerun(marks, driven_by="landmarks", portrait=face)  # nobody else is there: they are drawn with the given face
    assert [frame.portrait_id for frame in drawn if frame.picture is not None] == [face.id]
    assert list(drawn.problems.values()) == [1] and "made for another picture" in next(iter(drawn.problems))
    with pytest.raises(UserError, match="holds no sound"):
        rerun([shown(face), *marks])


def test_a_portrait_that_was_latched_before_the_recording_is_there_from_the_first_frame(rerun, face, speech):
    late = ("/robot_face/portrait", START_NS + 2 * 10**8, bags.portrait(face, START_NS - 10**9))
    frames = list(rerun([*bags.chunks(speech[:9600]), late]))
    assert len(frames) == 15 and all(frame.picture is not None for frame in frames)


def test_a_parameter_that_is_not_allowed_is_told(rerun, face, speech):
    with pytest.raises(UserError, match="landmark: parameter articulation must be one of"):
        rerun([shown(face), *bags.chunks(speech[:640])], parameters={"landmark": {"articulation": "mumbling"}})


def test_a_network_of_ones_own_is_run_and_told_by_its_hash(rerun, face, speech, tmp_path):
    told = [shown(face), *bags.chunks(speech[:6400])]
    own, shipped = tmp_path / "mine.onnx", SHIPPED.read_bytes()
    own.write_bytes(shipped)
    landmark = {"landmark": {"network": str(own)}}
    mine, theirs = rerun(told, parameters=landmark, draws=False), rerun(told, draws=False)
    assert mine.networks == {"landmark/network": hashlib.sha256(shipped).hexdigest()} and theirs.networks == {}
    assert np.array_equal(*([frame.landmarks.points for frame in run] for run in (mine, theirs)))
    own.unlink()
    with pytest.raises(UserError, match="There is no landmark network"):
        rerun(told, parameters=landmark)
