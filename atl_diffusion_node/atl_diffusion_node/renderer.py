"""The renderer: `set_identity` once a portrait, then `render` a frame for every set of landmarks, in order."""
import time
from dataclasses import dataclass
from importlib import resources

import cv2
import numpy as np

from atl_diffusion_node.bridge import sample, start_state
from atl_diffusion_node.governor import Effort
from atl_diffusion_node.hands import OtherHand
from atl_diffusion_node.lips import LipLine
from atl_diffusion_node.paste import EDGE_FADE, REPAINT_FROM, ROOM, Canvas, Overlay, beyond_the_crop, changed_share
from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.runtime import FACE_SIZE, Runtime
from atl_diffusion_node.views import FACE, MOUTH, MOUTH_FADE, View, to_network
from atl_diffusion_node.warp import FaceWarp, apply_warp, moved

STEPS = 1  # network evaluations a frame: the ablation found that more gain less than 0.3 dB (docs/results.md)
GREY = 8.0  # grey levels that the channels of a grey picture may differ by after JPEG
SHARPEN, SHARPEN_SIGMA = 0.3, 1.2
"""Share of the detail (crop pixels, Gaussian) that the mouth gets once more where the network changes it: what it must guess, and
what was interpolated, comes out soft. On five of GRID's TRAINING clips the mouth's sharpness rises from .86 to .95 of the truth's
for .07 dB (a throwaway script; `renderer.report` has what came of it on held-out ones)."""
FADE_FRAMES = 4  # frames (160 ms) over which a change of effort comes in: fast enough for a mouth, no flash


def reference_landmarks() -> np.ndarray:
    """Landmarks (68, 2) of an average face with an open mouth, crop coordinates: what the warp's triangles are made of."""
    with resources.as_file(resources.files(__package__) / "data" / "reference_face.npy") as path:
        return np.load(path)


def sharpened(picture: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A change (h, w, 3) to a picture (h, w, 3), both in grey levels, with more of the detail that it makes."""
    share = changed_share(change, 0.0, REPAINT_FROM, reach=3) * np.float32(SHARPEN / 255)
    made = picture + change
    return change + share[..., None] * (made - cv2.GaussianBlur(made, (0, 0), SHARPEN_SIGMA))


@dataclass
class StageTimes:
    """Milliseconds of the last frame, by part; what was done beside another part counts in that one alone."""

    warp: float = 0.0
    guide: float = 0.0
    network: float = 0.0
    paste: float = 0.0


@dataclass
class Drawn:
    """What the network last changed in a view.

    Attributes:
        place: the view's rows and columns in the crop that it is cut from.
        change: (H, W, 3) float32, grey levels.
        flow: (H, W, 2) float32, crop pixels.
        shown: how much of it shows, 0 to 1.
    """

    place: tuple[slice, slice]
    change: np.ndarray
    flow: np.ndarray
    shown: float


@dataclass
class Identity:
    """What is computed once a portrait."""

    portrait: Portrait
    wide: np.ndarray  # (*ROOM.shape, 3) uint8: the crop and what is warped around it
    features: dict[View, object]  # the runtimes' own
    grey: bool  # a picture without colour gets no coloured lips and teeth
    canvas: Canvas


class FaceRenderer:
    """Draws frames of one face.

    Args:
        runtime: what evaluates the networks.
        seed: of the guide noise; the same seed, landmarks and runtime give the same frames to the byte on a CPU.
        steps: network evaluations a frame.
    """

    def __init__(self, runtime: Runtime, seed: int = 0, steps: int = STEPS):
        self.runtime, self.steps, self.seed = runtime, steps, seed
        self._runtimes = {view: runtime.of(view.name) for view in (FACE, MOUTH)}
        self._full = Effort("full", steps)
        self.times = StageTimes()
        self._hand = OtherHand(runtime.concurrent)
        self._warp = FaceWarp(reference_landmarks())
        self._identity: Identity | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far: a new stream begins."""
        rng = np.random.default_rng(self.seed)
        self._noise = {view: rng.standard_normal((3, view.size, view.size), np.float32) for view in self._runtimes}
        self._memory = {}  # (view, s) -> the runtime's memory of the evaluation at s in the frame before
        self._drawn: dict[View, Drawn] = {}
        self._fresh = True  # the first frame shows at once what it draws

    @property
    def portrait(self) -> Portrait | None:
        return self._identity.portrait if self._identity else None

    def set_identity(self, portrait: Portrait) -> None:
        """Show this portrait from now on."""
        self.adopt(self.prepare(portrait))

    def prepare(self, portrait: Portrait) -> Identity:
        """Compute what a portrait needs once; safe in another thread while frames of the old one are drawn."""
        wide = ROOM.cut(portrait.transform, portrait.picture)
        crop, neutral = wide[ROOM.crop], portrait.neutral
        return Identity(
            portrait, wide,
            features={view: runtime.identity(to_network(view.picture(crop, neutral)), to_network(view.lines(neutral)))
                      for view, runtime in self._runtimes.items()},
            grey=float(np.percentile(np.ptp(crop.astype(np.float32), axis=2), 99)) < GREY,
            canvas=Canvas.of(portrait, LipLine.of(crop, neutral)),
        )  # fmt: skip

    def adopt(self, identity: Identity) -> None:
        """Show a prepared portrait from the next frame on."""
        self._identity = identity
        self.reset()

    def render(self, points: np.ndarray, effort: Effort | None = None) -> np.ndarray:
        """The frame for landmarks (68, 2|3) in crop coordinates, as RGB uint8 of the portrait's size.

        Args:
            effort: None is both views with the configured evaluations. Views that come or go fade; another number of
                evaluations shows at once.
        """
        identity = self._identity
        if identity is None:
            raise RuntimeError("set_identity comes before render")
        effort = effort or self._full
        self.times = times = StageTimes()
        clock = time.perf_counter()

        def lap() -> float:
            nonlocal clock
            clock, before = time.perf_counter(), clock
            return 1e3 * (clock - before)

        given = self._guides(effort.views, points)  # beside the warp they'd gain nothing: both are many small steps of Python
        times.guide = lap()
        displacement = self._warp.displacement(identity.portrait.neutral, points, ROOM)
        coarse = overlay = None
        if effort.views or any(drawn.shown for drawn in self._drawn.values()):
            coarse = apply_warp(identity.wide, displacement, ROOM, crop_only=True)
            identity.canvas.lip_line.cover(coarse, points, lambda xy: xy * FACE_SIZE)
        times.warp = lap()
        self._draw_views(effort, points, coarse, given)
        if coarse is not None:
            change, flow, fine = self._together(effort)
        times.network = lap()
        if coarse is not None:
            overlay = self._hand.begin(_overlay, identity, change, coarse, flow, fine)
            flow = beyond_the_crop(flow)
            displacement = moved(displacement, flow) + flow / FACE_SIZE
        frame, self._fresh = identity.canvas.paste(points, displacement, overlay), False
        times.paste = lap()
        return frame

    def _guides(self, views: tuple[View, ...], points: np.ndarray) -> dict[View, tuple[np.ndarray, np.ndarray]]:
        """What the network gets for each view beside pictures: guides (1, 5, H/2, W/2) with the time left open, and the noise's
        mask (H, W)."""
        made = {}
        for view in views:
            mask = view.mask(points)
            height, width = (side // 2 for side in mask.shape)
            guides = np.empty((1, 5, height, width), np.float32)
            guides[:, :3] = to_network(view.lines(points))
            guides[:, 3] = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)  # 2x2 means
            made[view] = guides, mask
        return made

    def _draw_views(self, effort: Effort, points: np.ndarray, coarse: np.ndarray, given: dict) -> None:
        """Draw the views that the effort asks for of the warped crop (S, S, 3) into `_drawn`."""
        memory, self._memory = self._memory, {}
        asked = points, effort.steps, memory, coarse
        waiting = [self._hand.begin(self._draw, view, *asked, *given[view]) for view in effort.views[1:]]
        try:
            drawn = [self._draw(view, *asked, *given[view]) for view in effort.views[:1]]
        finally:  # whatever happens, nothing goes on behind the next frame's back
            others = [wait() for wait in waiting]
        for view, (drawing, remembered) in zip(effort.views, drawn + others, strict=True):
            before = self._drawn.get(view)
            drawing.shown = before.shown if before else float(self._fresh)
            self._drawn[view] = drawing
            self._memory |= remembered

    def _draw(self, view: View, points: np.ndarray, steps: int, memory: dict, coarse: np.ndarray, guides: np.ndarray,
              mask: np.ndarray) -> tuple[Drawn, dict]:  # fmt: skip
        """A view of the warped crop, drawn but not shown yet, and its part of the frame's memory."""
        warped, place = to_network(view.picture(coarse, points)), view.place(points)
        start = start_state(warped, mask, self._noise[view][(..., *place)])
        *made, remembered = self._evaluate(view, steps, memory, warped, guides, start)
        return Drawn(place, *made, shown=0.0), remembered

    def _evaluate(self, view: View, steps: int, memory: dict, warped: np.ndarray, guides: np.ndarray,
                  start: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict]:  # fmt: skip
        """What a warp can't know: the network's change to the warped view, (H, W, 3) grey levels, once that is moved by its flow,
        (H, W, 2) crop pixels; and what the next frame shall remember.

        Args:
            memory: of the frame before; it is of use where that frame had the same evaluation of the same view.
        """
        picture = warped[0].transpose(1, 2, 0)

        def predict(x_s: np.ndarray, s: float, index: int) -> np.ndarray:
            nonlocal change, flow
            guides[:, 4], key = s, (view, s)
            features = self._identity.features[view]
            change, coarse, remembered[key] = self._runtimes[view].step(x_s, warped, guides, features, memory.get(key))
            flow = cv2.resize(coarse[0].transpose(1, 2, 0), view.shape[::-1])
            last = index == steps - 1  # the walk ends: its state is of no use any more
            return x_s if last else to_network(moved(picture, flow)) + change

        change, flow, remembered = None, None, {}
        sample(predict, start, steps)
        change = 127.5 * change[0].transpose(1, 2, 0)
        change = sharpened(127.5 * picture, change) if view.fine else change
        return change, flow * (FACE_SIZE / view.size), remembered

    def _together(self, effort: Effort) -> tuple[np.ndarray, np.ndarray, tuple | None]:
        """What both views change, (S, S, 3) grey levels of the crop, the mouth's over the face's; by what flow (S, S, 2) the
        warped crop is moved before; and where and how much the fine view shows.

        What shows of a view comes nearer to what the effort says; one that isn't drawn any more goes as it was drawn last.
        """
        size, fine = (FACE_SIZE, FACE_SIZE), None
        change, flow = (np.zeros((FACE_SIZE, FACE_SIZE, channels), np.float32) for channels in (3, 2))
        for view, drawn in sorted(self._drawn.items(), key=lambda item: item[0].fine):
            drawn.shown = float(np.clip(view in effort.views, drawn.shown - 1 / FADE_FRAMES, drawn.shown + 1 / FADE_FRAMES))
            if not drawn.shown:
                del self._drawn[view]
            elif not view.fine:
                change, flow = (drawn.shown * cv2.resize(own, size) for own in (drawn.change, drawn.flow))
            else:
                share = drawn.shown * MOUTH_FADE
                fine = drawn.place, share
                for total, own in ((change, drawn.change), (flow, drawn.flow)):
                    total[drawn.place] += share * (own - total[drawn.place])
        change *= EDGE_FADE[3]
        return change, flow, fine


def _overlay(identity: Identity, change: np.ndarray, warped: np.ndarray, flow: np.ndarray, fine: tuple | None) -> Overlay | None:
    """What `_together` says of the warped crop (S, S, 3), as it is laid over the portrait.

    A face drawn at half the size was a change of pixels of that size: on finer ones it would leave edges double.
    """
    warped = moved(warped, flow)
    pixels = cv2.resize(cv2.resize(warped, FACE.shape[::-1], interpolation=cv2.INTER_AREA), warped.shape[:2])
    if fine:
        place, share = fine
        part = pixels[place].astype(np.float32)
        pixels[place] = np.rint(part + share * (warped[place] - part))
    if identity.grey:
        change = np.repeat(change.mean(axis=2, keepdims=True), 3, axis=2)
    return identity.canvas.overlay(change, pixels)
