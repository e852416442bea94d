"""Portrait and renderer: what is drawn, what is left alone, what is refused."""
import io
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from atl_diffusion_node.hands import OtherHand
from atl_diffusion_node.paste import _rim, changed_share
from atl_diffusion_node.portrait import FEATHER, default_portrait_path, load_portrait, output_shape
from atl_diffusion_node.renderer import FaceRenderer, sharpened
from atl_diffusion_node.runtime import FACE_SIZE, MOUTH_WINDOW, WINDOW, WINDOWS, OpenVinoRuntime
from atl_diffusion_node.views import FACE, MOUTH, MOUTH_FADE
from atl_evaluation.baselines import WarpOnly
from atl_face.errors import UserError
from atl_face.topology import WEIGHT
from atl_landmark_node.face_model import PortraitFace


def talking(portrait, jaw):
    weights = np.zeros(52)
    weights[WEIGHT["jawOpen"]] = jaw
    return PortraitFace(portrait.neutral).points(weights)


def draw(renderer, portrait, jaws=(0.0, 0.15, 0.3, 0.1)):
    renderer.set_identity(portrait)
    return [renderer.render(talking(portrait, jaw)) for jaw in jaws]


def test_the_same_seed_draws_the_same_bytes(runtime, portrait):
    first = draw(FaceRenderer(runtime, seed=3), portrait)
    again = draw(FaceRenderer(runtime, seed=3), portrait)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = draw(FaceRenderer(runtime, seed=4), portrait)
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_two_hands_draw_what_one_draws(portrait):
    one, two = (OpenVinoRuntime(threads) for threads in (1, 2))
    assert (one.concurrent, two.concurrent) == (False, True)
    for a, b in zip(draw(FaceRenderer(one), portrait), draw(FaceRenderer(two), portrait), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("there", [False, True])
def test_the_other_hand_gives_back_what_it_made_or_why_not(there):
    hand = OtherHand(there)
    waiting = [hand.begin(lambda x: (x, threading.get_ident()), x) for x in range(3)]
    made, threads = zip(*(done() for done in waiting), strict=True)
    assert made == (0, 1, 2) and (threads[0] != threading.get_ident()) == there
    with pytest.raises(ZeroDivisionError):
        hand.begin(lambda: 1 / 0)()


def test_outside_the_feather_the_portrait_is_untouched(runtime, portrait):
    outside = np.ones(portrait.picture.shape[:2], bool)
    outside[portrait.region] = portrait.feather[..., 0] == 0
    assert outside.mean() > 0.3
    for frame in draw(FaceRenderer(runtime), portrait):
        assert np.array_equal(frame[outside], portrait.picture[outside])


@pytest.mark.parametrize("by", [-0.5, -0.1, 0, 0.1, 0.5])
def test_the_mouths_view_follows_an_open_mouth_inside_the_crop(portrait, by):
    points = talking(portrait, 0.4) + [by, by, 0]
    rows, columns = MOUTH.place(points)
    assert (rows.stop - rows.start, columns.stop - columns.start) == MOUTH_WINDOW
    assert all(part.start >= 0 and part.stop <= FACE_SIZE and part.start % 2 == 0 for part in (rows, columns))
    if abs(by) < 0.2:
        x, y = FACE_SIZE * points[48:68, :2].T
        assert columns.start + 8 < x.min() and x.max() < columns.stop - 8 and rows.start + 8 < y.min() and y.max() < rows.stop - 8


def test_views_are_cut_alike_from_pictures_lines_and_masks(portrait):
    crop = np.zeros((FACE_SIZE, FACE_SIZE, 3), np.uint8)
    points = talking(portrait, 0.2)
    x, y = np.round(FACE_SIZE * points[48, :2] - 0.5).astype(int)  # a mark at a corner of the mouth
    crop[y - 1:y + 2, x - 1:x + 2] = 255
    for view, scale in ((FACE, 2), (MOUTH, 1)):
        picture, lines, mask = view.picture(crop, points), view.lines(points), view.mask(points)
        assert picture.shape == (*view.shape, 3) and mask.shape == view.shape
        assert lines.shape == (view.shape[0] // 2, view.shape[1] // 2, 3)
        at = np.unravel_index(picture[..., 0].argmax(), view.shape)
        assert picture.min() == -1 and lines[at[0] // 2 - 1:at[0] // 2 + 2, at[1] // 2 - 1:at[1] // 2 + 2, 1].max() > 0.3
        place = view.place(points)
        assert abs(at[0] + place[0].start - y / scale) <= 1 and abs(at[1] + place[1].start - x / scale) <= 1


class Whitener:
    """A runtime whose network paints one of the views white."""

    name = "whitener"
    concurrent = False

    def __init__(self, paints=WINDOW, window=WINDOW):
        self.paints, self.window = paints, window

    def of(self, view):
        return Whitener(self.paints, WINDOWS[view])

    def identity(self, portrait, portrait_rasters):
        return None

    def step(self, x_s, warped, guides, features, memory):
        change = 1 - warped if self.window == self.paints else np.zeros_like(warped)
        return change, np.zeros_like(warped[:, :2, ::4, ::4]), None


class Mover:
    """A runtime whose network moves the face's view by a flow (x, y) px of it, and changes nothing."""

    name = "mover"
    concurrent = False

    def __init__(self, flow, window=WINDOW):
        self.flow, self.window = flow, window

    def of(self, view):
        return Mover(self.flow if WINDOWS[view] == WINDOW else (0, 0), WINDOWS[view])

    def identity(self, portrait, portrait_rasters):
        return None

    def step(self, x_s, warped, guides, features, memory):
        flow = np.zeros_like(warped[:, :2, ::4, ::4]) + np.reshape(self.flow, (1, 2, 1, 1)).astype(np.float32)
        return np.zeros_like(warped), flow, None


def test_a_flow_moves_the_portraits_own_pixels(portrait):
    still, shifted = (draw(FaceRenderer(Mover(flow)), portrait, (0.0,))[0].astype(int) for flow in ((0, 0), (0, 2)))
    scale = np.linalg.norm(np.linalg.inv(portrait.transform.matrix[:, :2])[:, 1])
    by = 4 / FACE_SIZE * scale  # 2 px of the view are 4 of the crop
    chin = portrait.transform.to_portrait(portrait.neutral[8:9])[0, :2].astype(int)
    beside = portrait.transform.to_portrait(portrait.neutral[1:2])[0, :2].astype(int)  # where the mouth's view isn't
    assert chin[1] > beside[1]
    rows, columns = (slice(at - 20, at + 20) for at in (beside[1], beside[0]))
    moved_on = still[rows.start + round(by): rows.stop + round(by), columns]
    assert np.abs(shifted[rows, columns] - moved_on).mean() < 0.5 * np.abs(shifted - still)[rows, columns].mean()


def shift_across(portrait, runtime, points, edge, axis):
    """Where the pixels across an edge of the crop were taken from, px: on a picture that is a ramp, a frame tells."""
    x, y = portrait.transform.to_portrait(np.array([edge]))[0].astype(int)
    height, width = portrait.picture.shape[:2]
    ramp = np.clip(np.arange(height)[:, None] - y if axis == 0 else np.arange(width) - x, -128, 127) + 128
    ramp = np.broadcast_to(ramp[..., None], portrait.picture.shape).astype(np.uint8)
    renderer = FaceRenderer(runtime)
    renderer.set_identity(replace(portrait, picture=ramp))
    along = np.s_[y - 20: y + 20, x, 0] if axis == 0 else np.s_[y, x - 20: x + 20, 0]
    return ramp[along].astype(int) - renderer.render(points)[along]


@pytest.mark.parametrize(("edge", "axis", "least"), [((0.5, 0.0), 0, 0.02), ((0.0, 0.3), 1, 0.005),
                                                     ((0.5, 1.0), 0, -0.005)])  # fmt: skip
def test_hair_goes_with_the_head_beyond_the_crop_without_a_tear(portrait, edge, axis, least):
    way = (0, 0.04, 0) if axis == 0 else (0.04, 0, 0)
    shift = shift_across(portrait, WarpOnly(), portrait.neutral + way, edge, axis)
    assert shift.min() > least * portrait.transform.side_px, "the hair came along, on both sides of the edge"
    assert np.abs(np.diff(shift)).max() <= 1, "and nothing is torn there"


@pytest.mark.parametrize(("edge", "axis", "least"), [((0.5, 0.0), 0, 0.8), ((0.0, 0.3), 1, 0.1), ((0.5, 1.0), 0, 0.1)])
def test_what_the_network_moves_goes_on_beyond_the_crop(portrait, edge, axis, least):
    """Up to its edge alone, hair that it widens has a notch there."""
    flow = (0, -8) if axis == 0 else (-8, 0)  # px of the view, which is half as fine as the crop
    shift = shift_across(portrait, Mover(flow), portrait.neutral, edge, axis)
    assert shift.min() > least * shift.max() and shift.max() > 0.9 * 16 * portrait.transform.side_px / FACE_SIZE
    assert np.abs(np.diff(shift)).max() <= 2, "16 px fade out over 32 beside the crop"


@pytest.mark.parametrize("edge", ["top", "left", "right", "bottom"])
def test_what_the_network_paints_fades_out_where_the_warp_goes_on(portrait, edge):
    white = draw(FaceRenderer(Whitener(WINDOW)), portrait, (0.0,))[0]
    at, way = {"top": ((0.5, 0), (0, 1)), "left": ((0, 0.5), (1, 0)), "right": ((1, 0.5), (-1, 0)),
               "bottom": ((0.5, 1), (0, -1))}[edge]  # fmt: skip
    along = portrait.transform.to_portrait(np.array([at]))[0].astype(int) + np.arange(-8, 36)[:, None] * way
    added = (white.astype(int) - portrait.picture)[along[:, 1], along[:, 0]].mean(axis=1)
    assert added.min() >= -2 and added[:8].max() <= 2, "no dark line, and nothing over the edge"
    assert added.max() > 60 and np.diff(added).max() < 0.3 * added.max(), "white comes in slowly"


@pytest.mark.parametrize("tilt", [0, 0.3, 0.8])
@pytest.mark.parametrize("size", [(40, 60), (41, 61), (5, 9), (1, 1)])
def test_the_rim_holds_all_that_fades_once(size, tilt):
    y, x = np.indices(size) - np.array(size).reshape(2, 1, 1) // 2 + 1.0
    turned = np.abs(x * np.cos(tilt) + y * np.sin(tilt)), np.abs(y * np.cos(tilt) - x * np.sin(tilt))
    feather = np.clip(1 + (14 - np.maximum(*turned)) / 4, 0, 1)  # a square of 28 px is 1
    times = np.zeros(size, int)
    for part in _rim(feather):
        times[part] += 1
    assert times.max() <= 1 and (times[feather < 1] == 1).all()
    assert (times == 0).sum() >= 0.3 * (feather == 1).sum(), "and little more"


def test_the_mouths_view_fades_into_the_faces(portrait):
    u, v = FACE_SIZE * np.moveaxis(portrait.region_uv, -1, 0)
    rows, columns = MOUTH.place(portrait.neutral)
    deep = (u > columns.start + 20) & (u < columns.stop - 20) & (v > rows.start + 20) & (v < rows.stop - 20)
    outside = (u < columns.start - 6) | (u > columns.stop + 6) | (v < rows.start - 6) | (v > rows.stop + 6)
    edge = FEATHER * FACE_SIZE  # beyond the crop it is only warped
    within = (np.minimum(u, v) > edge) & (np.maximum(u, v) < FACE_SIZE - edge)
    white = draw(FaceRenderer(Whitener(MOUTH_WINDOW)), portrait, (0.0,))[0][portrait.region]
    assert white[deep].mean() > 250  # a picture as sharp as the portrait keeps some of its edges
    assert np.abs(white.astype(int) - portrait.picture[portrait.region])[outside].max() <= 2, "only warped there, and hardly"
    face = draw(FaceRenderer(Whitener(WINDOW)), portrait, (0.0,))[0][portrait.region]
    assert face[within & outside].mean() > 245 and face[deep].mean() < 200, "the mouth's view is over the face's"
    assert MOUTH_FADE[0].max() == MOUTH_FADE[:, -1].max() == 0 and MOUTH_FADE[MOUTH_WINDOW[0] // 2, MOUTH_WINDOW[1] // 2] == 1


def test_what_changes_much_is_taken_as_the_network_drew_it():
    change = np.zeros((32, 96, 3), np.float32)
    change[:, 32:64, 1], change[:, 64:, 2] = 25, -60
    share = changed_share(change, 10, 40, reach=5) / 255
    assert share[:, :24].max() == 0 and np.allclose(share[:, 40:56], 0.5, atol=0.01) and share[:, 72:].min() == 1


def test_detail_is_sharpened_where_the_network_changes_it():
    picture = np.tile(np.float32([[90], [110]]), (24, 48))[..., None].repeat(3, axis=2)  # fine stripes
    change = np.zeros_like(picture)
    assert not sharpened(picture, change).any(), "what isn't changed stays as it is"
    change[:, 24:] = 30.0
    made = sharpened(picture, change)
    assert not made[:, :12].any() and np.abs(made[12:36, 36:].mean() - 30) < 0.5, "detail, not brightness"
    assert (picture + made)[12:36, 36:].std() > 1.2 * picture.std()


def test_an_opening_jaw_changes_the_mouth_most(runtime, portrait):
    frames = draw(FaceRenderer(runtime), portrait, (0.0, 0.0, 0.0, 0.0, 0.35, 0.35, 0.35))
    change = np.abs(frames[-1].astype(int) - frames[3].astype(int)).mean(2)
    mouth = portrait.transform.to_portrait(portrait.neutral[48:68])[:, :2]
    (x0, y0), (x1, y1) = mouth.min(0).astype(int), mouth.max(0).astype(int)
    assert change[y0:y1, x0:x1].mean() > 4 * change[portrait.region].mean()


@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps_all_work(runtime, portrait, steps):
    frames = draw(FaceRenderer(runtime, steps=steps), portrait)
    assert frames[0].shape == portrait.picture.shape and frames[0].dtype == np.uint8


def test_portraits_can_be_swapped_between_frames(runtime, portrait):
    renderer = FaceRenderer(runtime)
    small = load_portrait(default_portrait_path(), 256)
    renderer.set_identity(portrait)
    prepared = renderer.prepare(small)
    assert renderer.render(talking(portrait, 0.1)).shape == portrait.picture.shape
    renderer.adopt(prepared)
    assert renderer.render(talking(small, 0.1)).shape == small.picture.shape
    assert renderer.portrait is small


def test_a_grey_portrait_stays_grey(runtime, portrait):
    from dataclasses import replace

    grey = replace(portrait, picture=np.repeat(portrait.picture.mean(2, keepdims=True), 3, 2).astype(np.uint8))
    for frame in draw(FaceRenderer(runtime), grey):
        assert np.ptp(frame.astype(int), axis=2).max() <= 1


def test_output_shapes_are_even_and_limited():
    assert output_shape(1001, 799, None, 1080) == (1000, 800)
    assert output_shape(4000, 3000, None, 1080) == (1080, 810)
    assert output_shape(600, 400, 512) == (512, 342)


def test_a_portrait_is_named_by_its_bytes(portrait):
    data = default_portrait_path().read_bytes()
    assert load_portrait(data, 512).id == portrait.id and len(portrait.id) == 16


def test_pictures_without_a_face_are_refused():
    pytest.importorskip("mediapipe", reason="mediapipe is not installed: no face can be looked for")
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), (90, 120, 60)).save(buffer, "PNG")
    with pytest.raises(UserError) as refused:
        load_portrait(buffer.getvalue())
    assert refused.value.code == "no_face"
