"""What training reads, on the committed sample: 20 rendered clips of 10 people, CC0 and public domain alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="shards need requirements/dev.txt: webdataset")
pytest.importorskip("scipy", reason="augmentation needs scipy")

from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import EYE_LEFT, EYE_RIGHT, MOUTH, SPEECH_WEIGHTS, eye_distance, lip_gap
from atl_training.card import describe
from atl_training.landmarks.data import Batches, load_shards
from atl_training.renderer import pack
from atl_training.shards import find_shards, read_shards, write_shard
from atl_training.splits import held_out

SAMPLE = Path(__file__).parents[1] / "data" / "corpus_sample"


@pytest.fixture(scope="module")
def clips():
    return list(read_shards([SAMPLE]))


def test_it_is_small_and_whole(clips):
    assert sum(path.stat().st_size for path in find_shards([SAMPLE])) < 8_000_000
    assert len(clips) == 20 and len({clip.facts["speaker"] for clip in clips}) == 10
    for clip in clips:
        count = clip.facts["frames"]
        assert all(len(clip.arrays[name]) == count for name in ("landmarks", "landmarks_3d", "weights", "phoneme", "speaking"))
        assert len(clip.audio) == count * FRAME_SAMPLES


def test_every_ingredient_is_free_and_named(clips):
    licences = {entry["licence"] for clip in clips for entry in clip.facts["licences"]}
    assert licences <= {"CC0-1.0", "public domain"}
    assert all(entry["attribution"] for clip in clips for entry in clip.facts["licences"])
    assert {clip.facts["voice"] for clip in clips} <= {"", "piper/joe", "real/lj"}


def test_the_split_follows_the_people(clips):
    assert {clip.facts["split"] for clip in clips} == {"train", "val"}
    assert all(clip.held_out == held_out(clip.facts["speaker"]) for clip in clips)
    assert not any(describe(SAMPLE)["leaks"].values())


def test_landmarks_lie_on_the_face(clips):
    """Lips are redder and eyes rounder than what a wrong order or a shifted picture would hit: the mouth's landmarks
    enclose redder pixels than the cheeks beside them have."""
    redder = []
    for clip in clips[::2]:
        frame, points = clip.frames()[0].astype(float), clip.arrays["landmarks"][0]
        redness = frame[..., 0] / (frame[..., 1] + 1)
        ring = points[48:60, :2]
        lips = np.mean([redness[int(y), int(x)] for x, y in (ring + ring.mean(0)) / 2])
        cheek = (points[EYE_RIGHT].mean(0) + points[MOUTH].mean(0)) / 2 - [0.15 * eye_distance(points), 0, 0]
        redder.append(lips > redness[int(cheek[1]), int(cheek[0])])
        assert points[EYE_RIGHT, 0].mean() < points[EYE_LEFT, 0].mean() < frame.shape[1]
    assert np.mean(redder) > 0.85


def test_lips_shut_where_the_truth_says_so(clips):
    for clip in clips:
        gap, shut = clip.arrays["lip_gap"], clip.arrays["closure"] > 0.999
        assert np.allclose(gap, lip_gap(clip.arrays["landmarks"]), atol=1e-5)
        assert (gap[shut] < 0.03).all()


def test_the_landmark_network_reads_it(clips):
    utterances = load_shards([SAMPLE])
    assert [u.held for u in utterances] == [clip.held_out for clip in clips]
    features, weights, speaking, style, *_ = Batches(utterances, 25, 4, seed=0).draw()
    assert weights.shape == (4, 25, len(SPEECH_WEIGHTS)) and speaking.shape == (4, 25) and np.isfinite(features).all()
    assert (style.sum(1) == 1).all()


def test_what_is_share_alike_trains_nothing(clips, tmp_path):
    for number, clip in enumerate(clips[:4]):
        more = [{"what": "voice", "licence": "CC-BY-SA-3.0", "attribution": "somebody"}] if number % 2 else []
        clip = replace(clip, facts=clip.facts | {"licences": clip.facts["licences"] + more})
        write_shard(tmp_path / f"{number}.tar", [clip])
    assert [u.name for u in load_shards([tmp_path])] == [clips[0].key, clips[2].key]
    jobs = pack.plan([tmp_path], each=1, every=1)
    assert {key for chosen in jobs.values() for job in chosen for key in job.keys} == {clips[0].key, clips[2].key}


def test_the_renderer_packs_it(clips, tmp_path):
    jobs = pack.plan([SAMPLE], each=2, every=5)
    assert sum(job.segments for chosen in jobs.values() for job in chosen) == 8
    arrays = pack.cut(jobs["train"][0], seed=0)
    again = pack.cut(jobs["train"][0], seed=0)
    for name, (shape, dtype) in pack.ARRAYS.items():
        assert arrays[name].shape[1:] == shape and arrays[name].dtype == dtype
        assert np.array_equal(arrays[name], again[name]), "the same seed, the same segments"
    assert 0.3 < arrays["points"][:, :, 48:68].mean() < 0.8, "the mouth lies in the crop"
