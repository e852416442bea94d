"""How much of the network a frame is drawn with: as much as keeps the stream's frame rate.

A frame's cost is modelled as rest + unit * work: what warping, pasting and publishing take, and the network's time for one
evaluation of both views. Both are exponential averages of what the frames took, so a better level's cost under today's
load is a prediction from now, not a memory of when it was last drawn.
"""

from collections import deque
from dataclasses import dataclass

from atl_diffusion_node.views import FACE, MOUTH, VIEWS, View

_AREAS = {view: view.shape[0] * view.shape[1] for view in VIEWS.values()}
SMOOTHING = 1 / 6  # of the averages: a load that doubles the frame's time is seen after about 4 frames
MOST = 1.5  # periods that one frame counts for at most: one hitch is no overload
TOO_MUCH = 0.85  # of the period: above it, less is drawn
ROOM = 0.7  # of the period: a better level must be predicted below it
UNFIT = 4  # calm frames that one frame takes back whose prediction doesn't fit: hitches delay a rise, and don't forbid it
PATIENCE = 50  # calm frames (2 s) before a rise
LONGEST = 1500  # frames (1 min): patience grows up to it, and a prediction that forbids a rise is believed as long
HELD = 250  # frames (10 s): a rise that was undone before doubles its level's patience, one that lasts starts it anew


@dataclass(frozen=True)
class Effort:
    """What the network is asked for in a frame.

    Attributes:
        name: a word for the diagnostics.
        steps: evaluations of each view.
        views: that are drawn so.
        concurrent: both are drawn at the same time.
    """

    name: str
    steps: int
    views: tuple[View, ...] = (FACE, MOUTH)
    concurrent: bool = False

    @property
    def work(self) -> float:
        """Evaluations of both views that it amounts to: the network's time goes with the pixels, of two views at the same time
        with the larger one's."""
        count = max if self.concurrent else sum
        return self.steps * count([_AREAS[view] for view in self.views] or [0]) / count(_AREAS.values())


def efforts(steps: int, concurrent: bool = False) -> tuple[Effort, ...]:
    """From the configured effort down: half the evaluations until one is left, that one on the mouth alone, then none.

    concurrent: see `Runtime`.
    """
    levels = [Effort("full", steps, concurrent=concurrent)]
    while steps > 1:
        steps //= 2
        levels.append(Effort(f"steps_{steps}", steps, concurrent=concurrent))
    return (*levels, Effort("mouth", 1, (MOUTH,), concurrent), Effort("warp", 0, (), concurrent))


class Governor:
    """Chooses the next frame's effort from how long the frames so far took.

    It goes down as soon as the average frame takes TOO_MUCH of the period, and up one level after the better one would have
    had ROOM for PATIENCE frames. Counts frames, not seconds: the same times give the same choices.

    Args:
        levels: efforts, the configured one first, each with less work than the one before.
        period_s: time between two frames of the stream.
    """

    def __init__(self, levels: tuple[Effort, ...], period_s: float):
        self.levels, self.changes, self._period_s, self._level = levels, 0, period_s, 0
        self._rest_s, self._unit_s = 0.0, 0.0
        self._patience = [PATIENCE] * len(levels)  # by level: calm frames before it is tried
        self._calm, self._here, self._rose = 0, 0, False  # of this level: calm frames, frames, whether it was risen to
        self._drawn: deque[str] = deque(maxlen=LONGEST)

    @property
    def effort(self) -> Effort:
        return self.levels[self._level]

    @property
    def is_below(self) -> bool:
        """Whether less is drawn than configured."""
        return self._level > 0

    def figures(self) -> dict[str, object]:
        """For the diagnostics: the present level, changes so far, and each level's share of the last minute's frames."""
        shares = {f"level_share_{effort.name}": round(self._drawn.count(effort.name) / max(1, len(self._drawn)), 3)
                  for effort in self.levels}  # fmt: skip
        return {"level": self.effort.name, "level_changes": self.changes} | shares

    def saw(self, frame_s: float, network_s: float) -> None:
        """A frame was drawn with the present effort: its whole time, and the network's part of it."""
        self._drawn.append(self.effort.name)
        share = min(1.0, MOST * self._period_s / frame_s)
        rest_s = self._rest_s + SMOOTHING * (share * (frame_s - network_s) - self._rest_s)
        if self.effort.work:
            self._unit_s += SMOOTHING * (share * network_s / self.effort.work - self._unit_s)
        elif self._rest_s:
            self._unit_s *= rest_s / self._rest_s  # unseen: a load that goes makes the network as much faster as the rest
        self._rest_s = rest_s
        self._here += 1
        if self._here == HELD:
            self._patience[self._level] = PATIENCE
        if self._cost_s(self._level) > TOO_MUCH * self._period_s:
            self._calm = 0
            if self._level + 1 < len(self.levels):
                if self._rose and self._here < HELD:
                    self._patience[self._level] = min(2 * self._patience[self._level], LONGEST)
                self._go(self._level + 1)
        elif self._level:
            self._calm += 1 if self._cost_s(self._level - 1) < ROOM * self._period_s else -min(UNFIT, self._calm)
            if self._calm >= self._patience[self._level - 1] or self._here >= LONGEST:
                self._go(self._level - 1)

    def _cost_s(self, level: int) -> float:
        """Time of a frame at a level, predicted from the averages."""
        return self._rest_s + self._unit_s * self.levels[level].work

    def _go(self, level: int) -> None:
        if work := self.levels[level].work:  # it is judged by what it takes: a prediction that was too high isn't held against it
            self._unit_s = min(self._unit_s, max(0.0, ROOM * self._period_s - self._rest_s) / work)
        self._level, self._rose = level, level < self._level
        self._calm, self._here, self.changes = 0, 0, self.changes + 1
