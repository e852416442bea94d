"""The sync expert: the committed network on rendered people whom no training saw, and the protocol on cases that are known."""
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="shards need requirements/dev.txt: webdataset")

from atl_evaluation import sync
from atl_evaluation.sync import MAX_OFFSET, MIN_FRAMES, SyncExpert, mean_distances, mouth_crops, score_of
from atl_face.errors import UserError
from atl_face.stream import FRAME_SAMPLES
from atl_training.shards import read_shards

SAMPLE = Path(__file__).parents[1] / "data" / "corpus_sample"


@pytest.fixture(scope="module")
def expert():
    return SyncExpert()


@pytest.fixture(scope="module")
def clips():
    """(frames, landmarks, sound) of six clips; some of the sample say nothing."""
    spoken = islice((clip for clip in read_shards([SAMPLE]) if clip.facts["text"]), 0, 12, 2)
    return [(np.stack(clip.frames()), clip.arrays["landmarks"], clip.audio) for clip in spoken]


@pytest.fixture(scope="module")
def mouths(clips):
    """Their crops."""
    return [mouth_crops(frames, landmarks) for frames, landmarks, _ in clips]


def test_the_network_is_small_enough_to_commit():
    assert (Path(sync.__file__).parent / "data" / "sync_expert.onnx").stat().st_size <= 3_000_000


def test_own_sound_fits_better_than_anothers_and_than_a_still_mouth(expert, clips, mouths):
    own, foreign, still = [], [], []
    for crops, (_, _, sound), (_, _, other) in zip(mouths, clips, clips[1:] + clips[:1], strict=True):
        own.append(expert.score_crops(crops, sound))
        foreign.append(expert.score_crops(crops, other).confidence)
        still.append(expert.score_crops(np.repeat(crops[:1], len(crops), axis=0), sound).confidence)
    confidence = np.array([score.confidence for score in own])
    assert (confidence > foreign).mean() > 0.8 and (confidence > still).all()
    assert confidence.mean() > 1.5 * np.mean(foreign)
    assert np.mean([abs(score.offset) <= 1 for score in own]) > 0.8


@pytest.mark.parametrize("late", [-7, 5])
def test_a_planted_offset_is_found_with_its_sign(expert, clips, mouths, late):
    """+: the picture is late, so the sound that it belongs to lies before it."""
    found = []
    for crops, (_, _, sound) in zip(mouths, clips, strict=True):
        inner = crops[8: len(crops) - 8]
        heard = sound[(8 + late) * FRAME_SAMPLES: (8 + late + len(inner)) * FRAME_SAMPLES]
        found.append(expert.score_crops(inner, heard).offset - late)
    assert np.mean(np.abs(found) <= 1) > 0.8


def test_the_same_clip_gives_the_same_score(expert, clips):
    first, second = expert.score(*clips[0]), SyncExpert().score(*clips[0])
    assert np.array_equal(first.distances, second.distances)


def test_chunks_change_nothing(expert, clips, mouths, monkeypatch):
    crops, sound = mouths[0], clips[0][2]
    whole = expert.embed(crops, sound)
    monkeypatch.setattr(sync, "CHUNK", 20)
    for mine, theirs in zip(expert.embed(crops, sound), whole, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_silence_is_told_from_sound(clips):
    noise = np.random.default_rng(0).uniform(-3e-4, 3e-4, 16000)
    assert all(map(sync.is_silent, (noise[:0], np.zeros(9), noise))) and not any(sync.is_silent(sound) for *_, sound in clips)


def test_known_embeddings():
    random = np.random.default_rng(0).standard_normal((90, 16))
    points = random / np.linalg.norm(random, axis=1, keepdims=True)
    score = score_of(mean_distances(points[10:80], points[13:83]))  # the picture shows now what was heard 3 frames ago
    assert score.offset == 3 and score.distance == pytest.approx(0)
    assert score.confidence == pytest.approx(np.sqrt(2), abs=0.1)  # points that know nothing of each other
    alike = score_of(mean_distances(points[:1].repeat(70, 0), points[:1].repeat(70, 0)))
    assert alike.confidence == pytest.approx(0) and len(alike.distances) == 2 * MAX_OFFSET + 1


def test_crops_follow_the_face_and_bridge_gaps(clips, mouths):
    (frames, landmarks, _), crops = clips[0], mouths[0]
    assert crops.shape == (len(frames), sync.SIZE, sync.SIZE) and crops.dtype == np.uint8
    moved = mouth_crops(np.roll(frames, (9, -6), axis=(1, 2)), landmarks[..., :2] + (-6, 9))
    assert np.abs(moved.astype(int) - crops).max() <= 1
    gaps = landmarks.copy()
    gaps[5:9] = np.nan
    assert np.abs(mouth_crops(frames, gaps).astype(int) - crops).mean() < 3
    gaps[: len(frames) // 2 + 1] = np.nan
    with pytest.raises(UserError, match="A face is seen in only"):
        mouth_crops(frames, gaps)


def test_a_clip_that_is_too_short_is_refused(expert, clips):
    frames, landmarks, sound = clips[0]
    with pytest.raises(UserError, match=str(MIN_FRAMES)):
        expert.score(frames[: MIN_FRAMES - 1], landmarks[: MIN_FRAMES - 1], sound)
    expert.score(frames[:MIN_FRAMES], landmarks[:MIN_FRAMES], sound[:0])  # no sound at all is silence
