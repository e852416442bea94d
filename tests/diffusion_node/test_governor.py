"""The governor by the times of an imagined machine, and the frames that the renderer draws with every effort."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atl_diffusion_node.governor import LONGEST, PATIENCE, Governor, efforts
from atl_diffusion_node.lateness import Lateness
from atl_diffusion_node.renderer import FADE_FRAMES, FaceRenderer
from atl_diffusion_node.runtime import FACE_SIZE, MOUTH_WINDOW, WINDOW, WINDOWS
from atl_diffusion_node.views import FACE
from atl_diffusion_node.views import MOUTH as MOUTH_VIEW
from atl_evaluation.baselines import WarpOnly
from atl_face.topology import MOUTH, WEIGHT
from atl_landmark_node.face_model import PortraitFace

PERIOD_S = 0.04
FULL, MOUTH_ALONE, WARP = efforts(1)
MINUTE = 1500  # frames


def governed(load, frames: int, rest_s=0.008, network_s=0.012, steps=1, mouth_work=None, concurrent=False):
    """Levels 0, 1 ... of a machine's frames whose times `load(frame)` multiplies; `mouth_work` None: as much as modelled."""
    levels = efforts(steps, concurrent)
    governor, drawn = Governor(levels, PERIOD_S), []
    for k in range(frames):
        effort = governor.effort
        work = mouth_work if effort is levels[-2] and mouth_work else effort.work
        drawn.append(levels.index(effort))
        governor.saw(load(k) * (rest_s + work * network_s), load(k) * work * network_s)
    return drawn


def changes(drawn) -> int:
    return sum(a != b for a, b in pairwise(drawn))


@pytest.mark.parametrize("steps, names", [
    (1, ["full", "mouth", "warp"]), (5, ["full", "steps_2", "steps_1", "mouth", "warp"]),
    (8, ["full", "steps_4", "steps_2", "steps_1", "mouth", "warp"]),
])  # fmt: skip
def test_every_level_asks_less_of_the_network(steps, names):
    levels = efforts(steps)
    assert [level.name for level in levels] == names and levels[0].steps == steps
    assert all(a.work > b.work for a, b in pairwise(levels)) and levels[-1].work == 0


def test_two_views_at_once_take_as_long_as_the_larger():
    mouth = MOUTH_WINDOW[0] * MOUTH_WINDOW[1] / (WINDOW[0] * WINDOW[1])
    assert [level.work for level in efforts(2, concurrent=True)] == [2, 1, mouth, 0]


@pytest.mark.parametrize("load, level, within", [(1.9, 1, 12), (2.5, 1, 6), (5, 2, 8), (20, 2, 8)])
def test_under_load_the_level_falls_within_a_few_frames_to_what_fits(load, level, within):
    drawn = governed(lambda k: load if k >= 100 else 1.0, 600)
    assert set(drawn[:100]) == {0}
    assert drawn[100 + within] == level and set(drawn[100 + within :]) == {level}


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize("load", [1.9, 3, 8])
@pytest.mark.parametrize("burst", [5, 25, 400])
def test_when_the_load_goes_the_configured_level_is_back(load, burst, concurrent):
    drawn = governed(lambda k: load if 100 <= k < 100 + burst else 1.0, 1000, concurrent=concurrent)
    assert set(drawn[100 + burst + 150 :]) == {0}  # two levels of 2 s each
    assert set(drawn[100 + burst : 100 + burst + PATIENCE // 2]) == {max(drawn)}, "and not at once"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.4, 1.3), min_size=50, max_size=200), st.integers(0, 9))
def test_a_fast_machine_draws_all_of_it_whatever_its_hitches(loads, at):
    """Frames of 8 to 26 ms, and one in ten that takes 0.3 s."""
    assert set(governed(lambda k: 15 if k % 10 == at else min(loads[k % len(loads)], 0.9), 500)) == {0}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-6, 10.0), st.floats(0.0, 1.0)), min_size=1, max_size=400), st.integers(1, 8))
def test_levels_stay_on_the_ladder_whatever_the_times(times, steps):
    governor = Governor(efforts(steps), PERIOD_S)
    levels = governor.levels
    seen = []
    for frame_s, share in times:
        seen.append(levels.index(governor.effort))
        governor.saw(frame_s, share * frame_s)
    assert all(abs(a - b) <= 1 for a, b in pairwise(seen))
    rises = [k for k, (a, b) in enumerate(pairwise(seen)) if b < a]
    assert all(b - a >= PATIENCE for a, b in pairwise([0, *rises]))
    figures = governor.figures()
    assert abs(sum(figures[f"level_share_{level.name}"] for level in levels) - 1) < 0.01
    assert figures["level"] == governor.effort.name and figures["level_changes"] >= changes(seen)


@pytest.mark.parametrize("load", [2.5, 4, 8])
@pytest.mark.parametrize("period_s", [1, 2, 4, 8, 10, 15, 20, 30, 60])
@pytest.mark.parametrize("duty", [0.3, 0.5, 0.7])
def test_a_load_that_comes_and_goes_is_not_followed(load, period_s, duty):
    """At most 15 changes in the first minute and 12 in any later one (down and up again two levels, every 20 s), whatever the
    rhythm; 4 where it is faster than 10 s."""
    drawn = governed(lambda k: load if k % (25 * period_s) < duty * 25 * period_s else 1.0, 6 * MINUTE)
    by_minute = [changes(drawn[at : at + MINUTE]) for at in range(0, len(drawn), MINUTE)]
    assert by_minute[0] <= 15 and max(by_minute[1:]) <= 12
    assert period_s > 8 or max(by_minute[2:]) <= 4


def test_a_rise_in_vain_makes_the_next_one_wait():
    """Full frames take 44 ms, the mouth's look as if full ones took 26: only trying tells."""
    drawn = governed(lambda k: 1.0, 4 * MINUTE, rest_s=0.014, network_s=0.03, mouth_work=0.1)
    tries = [k for k, (a, b) in enumerate(pairwise(drawn)) if b < a]
    waits = np.diff(tries)
    assert len(tries) <= 8 and (waits[1:] >= np.minimum(1.5 * waits[:-1], LONGEST)).all()


def test_a_prediction_that_forbids_a_rise_is_not_believed_for_ever():
    """As on a GPU, where the mouth takes as long as the whole window: what was a load's fault is seen by trying."""
    drawn = governed(lambda k: 3.0 if 100 <= k < 120 else 1.0, 3 * MINUTE, mouth_work=1.0)
    assert max(drawn) > 0 and set(drawn[-MINUTE // 2 :]) == {0} and changes(drawn) <= 4


@pytest.mark.parametrize("full_ms", [45, 70, 140])
def test_frames_keep_coming_where_the_whole_window_is_too_much(full_ms):
    """The network takes two thirds of a frame; the queue is the stage's own: late frames are dropped."""
    dropped = {}
    for levels in (efforts(1), efforts(1)[:1]):
        governor, lateness, now_s, late, waited = Governor(levels, PERIOD_S), Lateness(), 0.0, 0, 0.0
        for k in range(MINUTE):
            now_s = max(now_s, PERIOD_S * k)
            waited = max(waited, now_s - PERIOD_S * k)
            if lateness.is_late(round(1e9 * (now_s - PERIOD_S * k)), 0.14e9):
                late += 1
                continue
            rest_s, network_s = 1e-3 * full_ms / 3, 1e-3 * full_ms * 2 / 3 * governor.effort.work
            governor.saw(rest_s + network_s, network_s)
            now_s += rest_s + network_s
        dropped[len(levels)] = late
        assert waited < 0.14 + 1e-3 * full_ms
    if full_ms < 100:
        assert dropped[3] <= 10 and dropped[1] > 100
    else:
        assert dropped[3] < dropped[1] / 2  # even the warp takes 47 ms: nothing helps wholly


@pytest.fixture(scope="module")
def talk(portrait):
    """Eight frames' landmarks."""
    face, points = PortraitFace(portrait.neutral), []
    for k in range(8):
        weights = np.zeros(52)
        weights[[WEIGHT["jawOpen"], WEIGHT["eyeBlinkLeft"]]] = 0.15 + 0.15 * np.sin(k), max(0.0, np.sin(0.7 * k))
        points.append(face.points(weights))
    return points


def draw(renderer, portrait, talk, plan):
    renderer.set_identity(portrait)
    return [renderer.render(points, effort) for points, effort in zip(talk, plan, strict=True)]


def test_the_full_effort_is_what_is_drawn_without_one(runtime, portrait, talk):
    for steps in (1, 2):
        plain = draw(FaceRenderer(runtime, steps=steps), portrait, talk, [None] * 8)
        full = draw(FaceRenderer(runtime, steps=steps), portrait, talk, [efforts(steps)[0]] * 8)
        assert all(np.array_equal(a, b) for a, b in zip(plain, full, strict=True))
    fewer = draw(FaceRenderer(runtime, steps=2), portrait, talk, [efforts(2)[1]] * 8)
    one = draw(FaceRenderer(runtime, steps=1), portrait, talk, [None] * 8)
    assert all(np.array_equal(a, b) for a, b in zip(fewer, one, strict=True)), "one of two evaluations is one evaluation"


def test_without_an_evaluation_the_frame_is_the_warped_portrait(runtime, portrait, talk):
    drawn = draw(FaceRenderer(runtime), portrait, talk, [WARP] * 8)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, draw(FaceRenderer(WarpOnly()), portrait, talk, [None] * 8),
                                                    strict=True))  # fmt: skip


def test_the_mouth_alone_is_drawn_like_the_whole_and_the_rest_is_only_warped(runtime, portrait, talk):
    full, mouth, warp = (np.array(draw(FaceRenderer(runtime), portrait, talk, [effort] * 8)).astype(int)
                         for effort in (FULL, MOUTH_ALONE, WARP))  # fmt: skip
    region = (slice(None), *portrait.region)
    rows, columns = MOUTH_VIEW.place(np.mean(talk, axis=0))
    u, v = FACE_SIZE * np.moveaxis(portrait.region_uv, -1, 0) - 0.5
    inside = (v > rows.start - 3) & (v < rows.stop + 3) & (u > columns.start - 3) & (u < columns.stop + 3)
    assert 0.05 < inside.mean() < 0.5 and np.array_equal(mouth[region][:, ~inside], warp[region][:, ~inside])
    (x0, y0), (x1, y1) = (f(portrait.transform.to_portrait(np.array(talk)[:, MOUTH, :2].reshape(-1, 2)), 0).astype(int)
                          for f in (np.min, np.max))  # fmt: skip
    lips = (slice(None), slice(y0, y1), slice(x0, x1))
    assert np.abs(mouth - full)[lips].mean() < 0.35 * np.abs(warp - full)[lips].mean()


class Painter:
    """A runtime that adds light; keeps what memory it was given."""

    name = "painter"
    concurrent = False

    def __init__(self, size=WINDOW):
        self.size, self.given = size, []

    def of(self, view):
        if view == FACE.name:
            return self
        self.mouth = Painter(WINDOWS[view])
        return self.mouth

    def identity(self, portrait, portrait_rasters):
        assert portrait.shape[2:] == self.size
        return [np.zeros((1, 1, self.size[0] >> level, self.size[1] >> level)) for level in (1, 2, 3, 4)]

    def step(self, x_s, warped, guides, features, memory):
        assert warped.shape[2:] == self.size and guides.shape[2:] == (self.size[0] // 2, self.size[1] // 2)
        assert [f.shape[2:] for f in features] == [(self.size[0] >> level, self.size[1] >> level) for level in (1, 2, 3, 4)]
        self.given.append(memory)
        return np.full_like(warped, 0.05), np.zeros_like(warped[:, :2, ::4, ::4]), f"memory {len(self.given)}"


def test_memory_is_of_the_frame_before_or_begins_anew(portrait, talk):
    two, one = efforts(2)[:2]
    face, plan = Painter(), [one, two, two, MOUTH_ALONE, MOUTH_ALONE, one, WARP, one]
    draw(FaceRenderer(face, steps=2), portrait, talk, plan)
    assert face.given == [None, "memory 1", None, "memory 2", "memory 3", None, None]
    assert face.mouth.given == [None, "memory 1", None, "memory 2", "memory 3", "memory 4", "memory 6", "memory 7", None]
    assert face.mouth.size == MOUTH_WINDOW and FULL.views == (FACE, MOUTH_VIEW)


@pytest.mark.parametrize("before, after", [(FULL, MOUTH_ALONE), (MOUTH_ALONE, WARP), (WARP, MOUTH_ALONE), (MOUTH_ALONE, FULL)])
def test_a_change_of_effort_fades(portrait, talk, before, after):
    renderer = FaceRenderer(Painter())
    still = [talk[0]] * 8
    frames = np.array(draw(renderer, portrait, still, [before] * 2 + [after] * 6)).astype(int)
    whole = np.abs(frames[-1] - frames[0])
    assert whole.max() >= 5
    steps = np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3))
    assert steps.max() <= np.ceil(whole.max() / FADE_FRAMES) + 1
    assert steps[0] == 0 and (steps[1 : 1 + FADE_FRAMES] > 0).all() and not steps[1 + FADE_FRAMES :].any()
    alone = draw(FaceRenderer(Painter()), portrait, still, [after] * 8)[-1]
    assert np.array_equal(frames[-1], alone)
