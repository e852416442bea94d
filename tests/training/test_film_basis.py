"""The basis that is corrected by film: it finds what the film's faces do, and keeps what the film doesn't tell."""
import numpy as np
import pytest

pytest.importorskip("scipy", reason="the loader of shards needs scipy")
pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_face.topology import MOUTH, SPEECH, SPEECH_WEIGHTS  # noqa: E402
from atl_landmark_node.face_model import PortraitFace, load_basis  # noqa: E402
from atl_training.landmarks.film_basis import KEPT, corrected, error  # noqa: E402
from atl_training.landmarks.fit import POINTS  # noqa: E402

ROLL = SPEECH_WEIGHTS.index("mouthUpperUpLeft")


@pytest.fixture(scope="module")
def filmed():
    """The shipped basis, its neutral, and clips of faces whose lips get taller as the upper one rises, on both sides alike."""
    basis, average = load_basis()
    theirs, rng, clips = basis.copy(), np.random.default_rng(0), []
    for name, points in (("mouthUpperUpLeft", [51, 52, 53]), ("mouthUpperUpRight", [49, 50, 51])):
        theirs[SPEECH[SPEECH_WEIGHTS.index(name)], points, 1] -= 0.1
    for _ in range(3):
        neutral = 200 * average * (1 + 0.05 * rng.standard_normal(3))
        face, weights = PortraitFace(neutral, theirs), np.zeros((40, 52))
        weights[:, SPEECH] = 0.4 * rng.random((40, len(SPEECH))) * (rng.random(len(SPEECH)) < 0.5)
        weights[:, SPEECH[ROLL]] = rng.random(40)
        clips.append((face.neutral, np.stack([face.points(row) for row in weights])))
    return basis, average, clips


def test_it_explains_the_film_better(filmed):
    basis, average, clips = filmed
    better = corrected(basis, average, clips[:2])
    assert error(clips[2:], basis) > 0.3, "the clip isn't what the basis does"
    assert error(clips[2:], better) < 0.6 * error(clips[2:], basis)


def test_it_keeps_depth_other_units_and_what_undoes_each_other(filmed):
    basis, average, clips = filmed
    change = corrected(basis, average, clips) - basis
    kept = [SPEECH[SPEECH_WEIGHTS.index(name)] for name in KEPT]
    others = np.setdiff1d(np.arange(52), SPEECH)
    assert not change[kept].any() and not change[others].any() and not change[..., 2].any()
    assert not change[:, np.setdiff1d(np.arange(68), POINTS)].any()
    left, right = (change[SPEECH[SPEECH_WEIGHTS.index(f"mouthUpperUp{side}")], MOUTH] for side in ("Left", "Right"))
    assert np.abs(left[3, 1] - right[3, 1]) < 1e-9 < np.abs(left[3, 1]), "both sides alike at the middle of the lip"


def test_a_face_undoes_what_it_did_to_the_basis():
    basis, average = load_basis()
    face = PortraitFace(150 * average * [1.1, 1, 1])
    units = face.basis[SPEECH]
    assert np.allclose(face.to_average(units.copy()), basis[SPEECH], atol=1e-9)
