"""The warp carries pixels from landmarks to landmarks."""
import numpy as np
import pytest

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.renderer import reference_landmarks
from atl_diffusion_node.warp import (
    BESIDE_KEPT,
    COLLAR,
    CROWN,
    FOLLOWS,
    HIGH,
    LOW,
    MIN_GAP,
    SKULL,
    FaceWarp,
    Room,
    apply_warp,
    keep_beside,
    part_lips,
    surroundings,
)
from atl_face.topology import ARKIT_52, LIP_PAIRS
from atl_landmark_node.face_model import PortraitFace

SIZE = 128
CROP, WIDE = Room(SIZE), Room.around(SIZE)
POINTS = reference_landmarks().astype(np.float64)
WARP = FaceWarp(POINTS)


def test_no_motion_is_no_warp():
    field = WARP.displacement(POINTS, POINTS, CROP)
    assert np.abs(field).max() < 1e-5
    picture = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    assert np.array_equal(apply_warp(picture, field, CROP), picture)


def test_landmarks_land_on_landmarks():
    target = POINTS + np.random.default_rng(0).normal(0, 0.006, POINTS.shape)
    target = part_lips(target)
    field = WARP.displacement(POINTS, target, Room(512))
    for p, q in zip(POINTS, target, strict=True):
        x, y = (q * 512).astype(int)
        assert np.abs(q + field[y, x] - p).max() < 0.012  # a pixel near the target point comes from the source point


@pytest.mark.parametrize("room", [CROP, WIDE])
def test_inside_a_triangle_the_warp_is_affine(room):
    target = POINTS + (0.01, 0.02)
    field = WARP.displacement(POINTS, target, room)
    source, moved = (WARP.nodes(POINTS, points) for points in (POINTS, target))
    for triangle in WARP.triangles:
        centre = moved[triangle].mean(0)
        x, y = np.floor(centre * SIZE + room.corner).astype(int)
        if not (2 < x < room.shape[1] - 2 and 2 < y < room.shape[0] - 2):
            continue
        area = np.linalg.det(np.c_[moved[triangle], np.ones(3)])
        if abs(area) < 2e-3:
            continue
        u = (np.array([x, y]) + 0.5 - room.corner) / SIZE
        weights = np.linalg.solve(np.c_[moved[triangle], np.ones(3)].T, [*u, 1])
        assert np.allclose(u + field[y, x], weights @ source[triangle], atol=1e-4)


def test_lips_are_parted_before_they_fold():
    shut = POINTS.copy()
    for upper, lower in LIP_PAIRS:
        shut[upper, 1] = shut[lower, 1] + 0.01  # crossed
    parted = part_lips(shut)
    assert all(parted[b, 1] - parted[a, 1] == pytest.approx(MIN_GAP) for a, b in LIP_PAIRS)
    assert np.array_equal(part_lips(POINTS), POINTS)


def test_hair_goes_with_the_head_and_the_collar_a_part_of_its_way():
    angle = np.radians(4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = lambda points: (points - 0.5) @ turn.T + (0.5, 0.48)  # noqa: E731
    around, way = surroundings(POINTS, lean(POINTS)), (lean(POINTS) - POINTS)[SKULL].mean(0)
    assert np.allclose(around[:-3], lean(CROWN), atol=1e-6) and np.allclose(around[-3:], COLLAR + FOLLOWS * way)
    speaks = POINTS.copy()
    speaks[17:27, 1] -= 0.03  # brows, too, leave the hair alone
    speaks[4:13, 1] += 0.02
    speaks[48:, 1] += 0.02
    assert np.allclose(surroundings(POINTS, speaks), np.vstack([CROWN, COLLAR]))
    field = WARP.displacement(POINTS, lean(POINTS), CROP)
    x, y = (lean(CROWN)[0] * SIZE).astype(int)
    assert np.abs(lean(CROWN)[0] + field[y, x] - CROWN[0]).max() < 0.012


def test_nothing_around_the_face_leaves_what_is_warped():
    """A chin that comes down pushes the collar before it; hair that leaves stops at the edge."""
    around = surroundings(POINTS, POINTS + (0.0, 0.12))
    assert (around[-3:, 1] > POINTS[:, 1].max() + 0.12).all()
    for far in ((0.6, 0.5), (-0.6, -0.5)):
        around = surroundings(POINTS, POINTS + far)
        assert (around >= LOW).all() and (around <= HIGH).all()


def test_what_is_around_the_crop_goes_on_where_it_ends():
    target = POINTS + (0.02, 0.03)
    wide = WARP.displacement(POINTS, target, WIDE)
    assert np.allclose(wide[WIDE.crop], WARP.displacement(POINTS, target, CROP), atol=1e-3)
    assert max(np.abs(np.diff(wide, axis=axis)).max() for axis in (0, 1)) < 0.01, "a step is a tear"
    picture = np.random.default_rng(0).integers(0, 255, (*WIDE.shape, 3), np.uint8)
    assert np.array_equal(apply_warp(picture, wide, WIDE, crop_only=True), apply_warp(picture, wide, WIDE)[WIDE.crop])


@pytest.mark.parametrize("degrees", [-12, 12])
def test_a_leaning_head_tears_no_hair(degrees):
    angle, neck = np.radians(degrees), np.array([0.5, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    hair = WARP.displacement(POINTS, (POINTS - neck) @ turn.T + neck + (0, -0.04), WIDE)[: WIDE.above + 40]
    assert SIZE * max(np.abs(np.diff(hair, axis=axis)).max() for axis in (0, 1)) < 4, "px, from a pixel to the next"


def test_the_border_stays():
    field = WARP.displacement(POINTS, POINTS + (0.03, 0.03), WIDE)
    rim = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
    assert np.abs(rim).max() < 0.01


def turned(degrees):
    """The default portrait's landmarks and those of its head turned by so much yaw."""
    face = load_portrait(default_portrait_path(), 256).neutral
    return face, PortraitFace(face).points(np.zeros(len(ARKIT_52)), np.radians((0, degrees, 0)))


@pytest.mark.parametrize(("degrees", "far"), [(20, 14), (20, 16), (-27, 1), (-27, 2)])
def test_the_far_eye_stays_within_a_turned_face(degrees, far):
    face, points = turned(degrees)
    corner = 45 if far > 8 else 36
    outwards = np.sign(face[far, 0] - face[corner, 0])
    kept = keep_beside(face[:, :2], points[:, :2])
    way, before = (outwards * (p[far, 0] - p[corner, 0]) for p in (kept, face))
    assert outwards * (points[far, 0] - points[corner, 0]) < 0.15 * before, "the contour itself is hidden"
    assert way == pytest.approx(BESIDE_KEPT * before, rel=0.05)


def test_a_small_turn_moves_no_contour():
    face, points = turned(5)
    assert np.array_equal(keep_beside(face[:, :2], points[:, :2]), points[:, :2])


@pytest.mark.parametrize("points", [POINTS * 0 + 0.5, POINTS + 3.0, POINTS - 3.0], ids=["one", "far", "far the other way"])
def test_a_face_that_is_none_warps_to_numbers(points):
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(WARP.displacement(POINTS, points, WIDE)).all()


@pytest.mark.parametrize("degrees", [-20, -12, -8, 8, 12, 20])
def test_no_pixel_goes_farther_than_what_is_around_it(degrees):
    """In a triangle that is flatter than a pixel, a linear map goes far beyond its corners."""
    face, points = turned(degrees)
    ways = WARP.nodes(face[:, :2], face[:, :2]) - WARP.nodes(face[:, :2], points[:, :2])
    field = WARP.displacement(face, points, Room.around(256))
    assert 256 * np.maximum(field - ways.max(0), ways.min(0) - field).max() < 0.5, "px"
