"""The renderer: `set_identity` once a portrait, then `render` a frame for every set of landmarks, in order."""
import time
from dataclasses import dataclass, field
from importlib import resources

import cv2
import numpy as np

from atl_diffusion_node.bridge import sample, start_state
from atl_diffusion_node.governor import Effort
from atl_diffusion_node.lips import LipLine
from atl_diffusion_node.portrait import Portrait, fade_in
from atl_diffusion_node.runtime import FACE_SIZE, Runtime
from atl_diffusion_node.views import FACE, MOUTH, MOUTH_FADE, View, to_network
from atl_diffusion_node.warp import FaceWarp, Room, apply_warp, moved

STEPS = 1  # network evaluations a frame: the ablation found that more gain less than 0.3 dB (docs/results.md)
GREY = 8.0  # grey levels that the channels of a grey picture may differ by after JPEG
REPAINT_FROM, REPAINT_FULL = 10.0, 40.0
"""Grey levels of change from which on the network's own picture begins to replace the portrait's finer pixels, and does so
wholly. What a warp has squeezed (teeth behind lips that shut, an eye that closes) has detail that only the crop's coarser
pixels know to be gone."""
SHARPEN, SHARPEN_SIGMA = 0.3, 1.2
"""Share of the detail (crop pixels, Gaussian) that the mouth gets once more where the network changes it: what it must guess, and
what was interpolated, comes out soft. On five of GRID's TRAINING clips the mouth's sharpness rises from .86 to .95 of the truth's
for .07 dB (a throwaway script; `renderer.report` has what came of it on held-out ones)."""
ROOM = Room.around(FACE_SIZE)  # is warped; the network sees the crop in it
EDGE = 0.035  # crop sides over which what the network changes fades out; at .07 GRID lost .06 dB


def _fade() -> np.ndarray:
    """(S, S, 1) float32: 1 inside the crop, falling to 0 towards its edges, over which the warp goes on."""
    from_edge = (np.arange(FACE_SIZE, dtype=np.float32) + 0.5) / FACE_SIZE
    fade = fade_in(np.minimum(from_edge, 1 - from_edge), EDGE)
    return np.minimum(fade[:, None], fade)[..., None]


EDGE_FADE = {channels: np.repeat(_fade(), channels, axis=2) for channels in (1, 2, 3)}  # of what the network changes
FINELY = cv2.INTER_CUBIC
"""Of the portrait's pixels from brows to chin: linear takes a tenth of the mouth's sharpness. The rest is linear: .07 dB better
on GRID, and half a millisecond faster at 512 px."""
FADE_FRAMES = 4  # frames (160 ms) over which a change of effort comes in: fast enough for a mouth, no flash


def reference_landmarks() -> np.ndarray:
    """Landmarks (68, 2) of an average face with an open mouth, crop coordinates: what the warp's triangles are made of."""
    with resources.as_file(resources.files(__package__) / "data" / "reference_face.npy") as path:
        return np.load(path)


def _within(points: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a picture's part (h, w, ...) that points (n, 2) px lie in."""
    (x0, y0), (x1, y1) = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    return slice(max(y0, 0), min(y1, shape[0])), slice(max(x0, 0), min(x1, shape[1]))


def _span(some: np.ndarray) -> slice:
    """From the first to the last True of (n,)."""
    where = np.flatnonzero(some)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)


def _rim(feather: np.ndarray) -> list[tuple[slice, slice]]:
    """Four parts of (h, w) around a rectangle in which all are 1. Where they are is convex, so its border tells."""
    step = 1 + max(feather.shape) // 256  # a photo of 4096 px shall not take a second
    ends = [0, feather.shape[0], 0, feather.shape[1]]
    while (part := feather[ends[0]:ends[1], ends[2]:ends[3]]).size:
        lines = part[0], part[-1], part[:, 0], part[:, -1]
        if min(line.min() for line in lines) == 1:
            break
        worst = int(np.argmin([line.mean() for line in lines]))
        ends[worst] = max(0, ends[worst] + (step, -step)[worst % 2])
    top, bottom, left, right = ends
    bottom, right = max(top, bottom), max(left, right)  # where there is no such rectangle, no pixel is in two parts
    every, middle = slice(None), slice(top, bottom)
    return [(slice(0, top), every), (slice(bottom, None), every), (middle, slice(0, left)), (middle, slice(right, None))]


def largest(change: np.ndarray) -> np.ndarray:
    """The largest size of a change (h, w, 3) over the colours, (h, w)."""
    red, green, blue = cv2.split(np.abs(change))
    return np.maximum(np.maximum(red, green), blue)


def repaint_share(change: np.ndarray) -> np.ndarray:
    """How much of the network's own picture is taken, (h, w) float32 in [0, 1], for its change (h, w, 3) in grey levels."""
    share = np.clip((largest(change) - REPAINT_FROM) / (REPAINT_FULL - REPAINT_FROM), 0, 1)
    return cv2.GaussianBlur(cv2.dilate(share, np.ones((5, 5), np.uint8)), (0, 0), 1.5)


def sharpened(picture: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A change (h, w, 3) to a picture (h, w, 3), both in grey levels, with more of the detail that it makes."""
    share = cv2.GaussianBlur(cv2.dilate(np.clip(largest(change) / REPAINT_FROM, 0, 1), np.ones((3, 3), np.uint8)), (0, 0), 1.5)
    made = picture + change
    return change + SHARPEN * share[..., None] * (made - cv2.GaussianBlur(made, (0, 0), SHARPEN_SIGMA))


@dataclass
class StageTimes:
    """Milliseconds of the last frame, by part."""

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
    lip_line: LipLine
    grey: bool  # a picture without colour gets no coloured lips and teeth
    rim: list[tuple[slice, slice]]  # parts of the portrait's region that hold all of it where the drawn face fades out
    feather: np.ndarray  # (h, w, 3): how much of the drawn face each pixel of the region takes
    to_px: np.ndarray  # (2, 2): crop coordinates to portrait pixels, linear part
    base_map: np.ndarray = field(repr=False)  # (h, w, 2) float32: the region's own pixel positions in the picture
    wide_map: np.ndarray = field(repr=False)  # (h, w, 2) float32: where the region's pixels lie in `wide`, in its pixels
    inner: tuple[slice, slice]  # the region's rows and columns that reach into the crop
    crop_map: np.ndarray = field(repr=False)  # (h', w', 2) float32: where those lie in the crop


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
        rows, columns = portrait.region
        y, x = np.mgrid[rows, columns].astype(np.float32)
        crop_map = portrait.region_uv * FACE_SIZE - 0.5
        reaches = ((crop_map > -1) & (crop_map < FACE_SIZE)).all(axis=-1)
        inner = tuple(_span(reaches.any(axis=axis)) for axis in (1, 0))
        return Identity(
            portrait, wide,
            features={view: runtime.identity(to_network(view.picture(crop, neutral)), to_network(view.lines(neutral)))
                      for view, runtime in self._runtimes.items()},
            lip_line=LipLine.of(crop, neutral),
            grey=float(np.percentile(np.ptp(crop.astype(np.float32), axis=2), 99)) < GREY,
            rim=_rim(portrait.feather[..., 0]),
            feather=np.repeat(portrait.feather, 3, axis=2),
            to_px=np.linalg.inv(portrait.transform.matrix[:, :2]).astype(np.float32),
            base_map=np.stack([x, y], axis=-1),
            wide_map=crop_map + np.float32(ROOM.corner), inner=inner,
            crop_map=np.ascontiguousarray(crop_map[inner]),
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

        displacement = self._warp.displacement(identity.portrait.neutral, points, ROOM)
        coarse = change = None
        if effort.views or any(drawn.shown for drawn in self._drawn.values()):
            coarse = apply_warp(identity.wide, displacement, ROOM, crop_only=True)
            identity.lip_line.cover(coarse, points, lambda xy: xy * FACE_SIZE)
        times.warp = lap()
        memory, self._memory = self._memory, {}
        for view in effort.views:
            warped = to_network(view.picture(coarse, points))
            given = self._given(view, points, warped)
            times.guide += lap()
            made = self._evaluate(view, effort.steps, memory, warped, *given)
            before = self._drawn.get(view)
            self._drawn[view] = Drawn(view.place(points), *made, before.shown if before else float(self._fresh))
            times.network += lap()
        if coarse is not None:
            change, flow, coarse = self._together(effort, coarse)
            displacement[ROOM.crop] = moved(displacement[ROOM.crop], flow) + flow / FACE_SIZE
            if identity.grey:
                change = np.repeat(change.mean(axis=2, keepdims=True), 3, axis=2)
            times.network += lap()
        frame, self._fresh = self._paste(identity, points, displacement, change, coarse), False
        times.paste = lap()
        return frame

    def _given(self, view: View, points: np.ndarray, warped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network gets for a view beside the warped portrait: guides with the time left open, and the start state."""
        mask = view.mask(points)
        height, width = (side // 2 for side in mask.shape)
        guides = np.empty((1, 5, height, width), np.float32)
        guides[:, :3] = to_network(view.lines(points))
        guides[:, 3] = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)  # 2x2 means
        return guides, start_state(warped, mask, self._noise[view][(..., *view.place(points))])

    def _evaluate(self, view: View, steps: int, memory: dict, warped: np.ndarray, guides: np.ndarray,
                  start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """What a warp can't know: the network's change to the warped view, (H, W, 3) grey levels, once that is moved by its flow,
        (H, W, 2) crop pixels.

        Args:
            memory: of the frame before; it is of use where that frame had the same evaluation of the same view.
        """
        picture = warped[0].transpose(1, 2, 0)

        def predict(x_s: np.ndarray, s: float, index: int) -> np.ndarray:
            nonlocal change, flow
            guides[:, 4], key = s, (view, s)
            features = self._identity.features[view]
            change, coarse, self._memory[key] = self._runtimes[view].step(x_s, warped, guides, features, memory.get(key))
            flow = cv2.resize(coarse[0].transpose(1, 2, 0), view.shape[::-1])
            last = index == steps - 1  # the walk ends: its state is of no use any more
            return x_s if last else to_network(moved(picture, flow)) + change

        change = flow = None
        sample(predict, start, steps)
        change = 127.5 * change[0].transpose(1, 2, 0)
        return sharpened(127.5 * picture, change) if view.fine else change, flow * (FACE_SIZE / view.size)

    def _together(self, effort: Effort, warped: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What both views change, (S, S, 3) grey levels of the crop, the mouth's over the face's; by what flow (S, S, 2) the
        warped crop is moved before; and the pixels that they change then.

        A face drawn at half the size was a change of pixels of that size: on finer ones it would leave edges double.

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
        for part in (change, flow):
            part *= EDGE_FADE[part.shape[2]]
        warped = moved(warped, flow)
        base = cv2.resize(cv2.resize(warped, FACE.shape[::-1], interpolation=cv2.INTER_AREA), size)
        if fine:
            place, share = fine
            part = base[place].astype(np.float32)
            base[place] = np.rint(part + share * (warped[place] - part))
        return change, flow, base

    def _paste(self, identity: Identity, points: np.ndarray, displacement: np.ndarray, change: np.ndarray | None,
               coarse: np.ndarray | None) -> np.ndarray:  # fmt: skip
        """Warp the portrait at its own resolution, add the network's change, fade into the untouched picture.

        Where nothing moves and the network changes nothing, the portrait's pixels stay as they are, whatever their size;
        where it changes much, its own pixels are taken.

        Args:
            change: (S, S, 3) float32, grey levels; None is none. coarse: (S, S, 3) uint8, the pixels that it changes.
        """
        offset = cv2.remap(displacement, identity.wide_map, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source = identity.base_map + cv2.transform(offset, identity.to_px)
        warped = cv2.remap(identity.portrait.picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rows, columns = identity.portrait.region
        corner = np.array([columns.start, rows.start])
        part = _within(identity.portrait.transform.to_portrait(points)[:, :2] - corner, warped.shape)
        if all(span.start < span.stop for span in part):
            cv2.remap(identity.portrait.picture, source[part], None, FINELY, warped[part], borderMode=cv2.BORDER_REPLICATE)
        identity.lip_line.cover(warped, points, lambda xy: identity.portrait.transform.to_portrait(xy) - corner)
        if change is not None and identity.crop_map.size:  # a bag's portrait may lie beside its crop
            share = repaint_share(change) * EDGE_FADE[1][..., 0]
            delta, share, coarse = (cv2.remap(np.ascontiguousarray(a), identity.crop_map, None, cv2.INTER_LINEAR)
                                    for a in (change, share, coarse))  # fmt: skip
            # coarse + delta is the network's own picture: share of it, the rest of warped + delta
            inside = warped[identity.inner].astype(np.float32)
            repaint = np.subtract(coarse, inside, dtype=np.float32)
            repaint *= cv2.merge([share] * 3)
            inside += repaint
            inside += delta
            warped[identity.inner] = np.clip(np.rint(inside, out=inside), 0, 255, out=inside)
        frame = identity.portrait.picture.copy()
        still = frame[identity.portrait.region]
        for part in identity.rim:
            fading = np.subtract(warped[part], still[part], dtype=np.float32)
            warped[part] = np.rint(still[part] + identity.feather[part] * fading)
        frame[identity.portrait.region] = warped
        return frame

