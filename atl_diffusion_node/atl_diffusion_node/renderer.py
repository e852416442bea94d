"""The renderer: `set_identity` once a portrait, then `render` a frame for every set of landmarks, in order."""
import time
from dataclasses import dataclass, field
from importlib import resources

import cv2
import numpy as np

from atl_diffusion_node.bridge import sample, start_state
from atl_diffusion_node.guide import guide_mask, rasters
from atl_diffusion_node.lips import LipLine
from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.runtime import FACE_SIZE, WINDOW, Runtime
from atl_diffusion_node.warp import FaceWarp, apply_warp

STEPS = 1  # network evaluations a frame: half of all training was at s = 1; more are allowed, not yet compared
GREY = 8.0  # grey levels that the channels of a grey picture may differ by after JPEG
FADE_PX = 12  # what the networks change fades out over so many pixels at the edge of their window
REPAINT_FROM, REPAINT_FULL = 10.0, 40.0
"""Grey levels of change from which on the network's own picture begins to replace the portrait's finer pixels, and does so
wholly. What a warp has squeezed (teeth behind lips that shut, an eye that closes) has detail that only the crop's coarser
pixels know to be gone."""
ABOVE_BROWS = 0.07  # crop sides from the brows up to the window's upper edge: room for lifted ones


def to_network(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (1, 3, H, W) float32 in [-1, 1]."""
    return (picture.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1.0


def reference_landmarks() -> np.ndarray:
    """Landmarks (68, 2) of an average face with an open mouth, crop coordinates: what the warp's triangles are made of."""
    with resources.as_file(resources.files(__package__) / "data" / "reference_face.npy") as path:
        return np.load(path)


def window_of(neutral: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the crop that the networks see: WINDOW, laid around a portrait's landmarks (68, 2|3)."""
    low, high = neutral[:, :2].min(0), neutral[:, :2].max(0)
    top = FACE_SIZE * (low[1] - ABOVE_BROWS)
    left = FACE_SIZE * (low[0] + high[0]) / 2 - WINDOW[1] / 2
    corner = [int(np.clip(round(at / 2) * 2, 0, FACE_SIZE - side)) for at, side in zip((top, left), WINDOW, strict=True)]
    return tuple(slice(at, at + side) for at, side in zip(corner, WINDOW, strict=True))


def fade_out(height: int, width: int) -> np.ndarray:
    """(height, width, 1) float32: 1 inside, falling to 0 over FADE_PX towards every edge."""
    rows, columns = (np.clip((np.minimum(np.arange(n), n - 1 - np.arange(n))) / FADE_PX, 0, 1) for n in (height, width))
    return np.minimum(rows[:, None], columns)[..., None].astype(np.float32)


FADE = fade_out(*WINDOW)


def repaint_share(change: np.ndarray) -> np.ndarray:
    """How much of the network's own picture is taken, (h, w) float32 in [0, 1], for its change (h, w, 3) in grey levels."""
    red, green, blue = cv2.split(np.abs(change))
    most = np.maximum(np.maximum(red, green), blue)
    share = np.clip((most - REPAINT_FROM) / (REPAINT_FULL - REPAINT_FROM), 0, 1)
    return cv2.GaussianBlur(cv2.dilate(share, np.ones((5, 5), np.uint8)), (0, 0), 1.5) * FADE[..., 0]


@dataclass
class StageTimes:
    """Milliseconds of the last frame, by part."""

    warp: float = 0.0
    guide: float = 0.0
    network: float = 0.0
    paste: float = 0.0


@dataclass
class Identity:
    """What is computed once a portrait."""

    portrait: Portrait
    crop: np.ndarray  # (S, S, 3) uint8
    features: object  # the runtime's own
    lip_line: LipLine
    grey: bool  # a picture without colour gets no coloured lips and teeth
    pixels: np.ndarray  # the portrait's region, float32
    feather: np.ndarray  # (h, w, 3): how much of the drawn face each of them takes
    to_px: np.ndarray  # (2, 2): crop coordinates to portrait pixels, linear part
    base_map: np.ndarray = field(repr=False)  # (h, w, 2) float32: the region's own pixel positions in the picture
    uv_map: np.ndarray = field(repr=False)  # (h, w, 2) float32: where the region's pixels lie in the crop, in its pixels
    window: tuple[slice, slice]  # rows and columns of the crop that the networks see
    window_map: np.ndarray = field(repr=False)  # uv_map counted from the window's corner


class FaceRenderer:
    """Draws frames of one face.

    Args:
        runtime: what evaluates the networks.
        seed: of the guide noise; the same seed, landmarks and runtime give the same frames to the byte on a CPU.
        steps: network evaluations a frame.
        covers_teeth: paint the line of lips that shut over teeth (`lips.py`); evaluations leave it out of their baseline.
    """

    def __init__(self, runtime: Runtime, seed: int = 0, steps: int = STEPS, covers_teeth: bool = True):
        self.runtime, self.steps, self.seed = runtime, steps, seed
        self.times, self._covers_teeth = StageTimes(), covers_teeth
        self._warp = FaceWarp(reference_landmarks())
        self._identity: Identity | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far: a new stream begins."""
        self._noise = np.random.default_rng(self.seed).standard_normal((1, 3, *WINDOW), np.float32)
        self._memory = [None] * self.steps

    @property
    def portrait(self) -> Portrait | None:
        return self._identity.portrait if self._identity else None

    def set_identity(self, portrait: Portrait) -> None:
        """Show this portrait from now on."""
        self.adopt(self.prepare(portrait))

    def prepare(self, portrait: Portrait) -> Identity:
        """Compute what a portrait needs once; safe in another thread while frames of the old one are drawn."""
        crop = portrait.transform.extract(portrait.picture, FACE_SIZE)
        window = window_of(portrait.neutral)
        uv_map = portrait.region_uv * FACE_SIZE - 0.5
        rows, columns = portrait.region
        y, x = np.mgrid[rows, columns].astype(np.float32)
        return Identity(
            portrait, crop,
            features=self.runtime.identity(to_network(crop[window]), _raster_input(portrait.neutral, window)),
            lip_line=LipLine.of(crop, portrait.neutral) if self._covers_teeth else LipLine(np.zeros(3), 0.0),
            grey=float(np.percentile(np.ptp(crop.astype(np.float32), axis=2), 99)) < GREY,
            pixels=portrait.picture[rows, columns].astype(np.float32),
            feather=np.repeat(portrait.feather, 3, axis=2),
            to_px=np.linalg.inv(portrait.transform.matrix[:, :2]).astype(np.float32),
            base_map=np.stack([x, y], axis=-1),
            uv_map=uv_map,
            window=window,
            window_map=uv_map - np.array([window[1].start, window[0].start], np.float32),
        )  # fmt: skip

    def adopt(self, identity: Identity) -> None:
        """Show a prepared portrait from the next frame on."""
        self._identity = identity
        self.reset()

    def render(self, points: np.ndarray) -> np.ndarray:
        """The frame for landmarks (68, 2|3) in crop coordinates, as RGB uint8 of the portrait's size."""
        identity = self._identity
        if identity is None:
            raise RuntimeError("set_identity comes before render")
        clock = [time.perf_counter()]

        def lap() -> float:
            clock.append(time.perf_counter())
            return 1e3 * (clock[-1] - clock[-2])

        displacement = self._warp.displacement(identity.portrait.neutral, points, FACE_SIZE)
        coarse = apply_warp(identity.crop, displacement, identity.window)
        corner = np.array([identity.window[1].start, identity.window[0].start])
        identity.lip_line.cover(coarse, points, lambda xy: xy * FACE_SIZE - corner)
        warped = to_network(coarse)
        self.times.warp = lap()
        mask = guide_mask(points, FACE_SIZE)[identity.window]
        height, width = (side // 2 for side in WINDOW)
        guides = np.empty((1, 5, height, width), np.float32)
        guides[:, :3] = _raster_input(points, identity.window)
        guides[:, 3] = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)  # 2x2 means
        start = start_state(warped, mask, self._noise)
        self.times.guide = lap()

        def predict(x_s: np.ndarray, s: float, index: int) -> np.ndarray:
            guides[:, 4] = s
            x_0, self._memory[index] = self.runtime.step(x_s, warped, guides, identity.features, self._memory[index])
            return x_0

        change = (sample(predict, start, self.steps) - warped)[0].transpose(1, 2, 0) * (127.5 * FADE)  # what a warp can't know
        if identity.grey:
            change = np.repeat(change.mean(axis=2, keepdims=True), 3, axis=2)
        self.times.network = lap()
        frame = self._paste(identity, points, displacement, change, coarse)
        self.times.paste = lap()
        return frame

    @staticmethod
    def _paste(identity: Identity, points: np.ndarray, displacement: np.ndarray, change: np.ndarray,
               coarse: np.ndarray) -> np.ndarray:  # fmt: skip
        """Warp the portrait at its own resolution, add the network's change, fade into the untouched picture.

        Where nothing moves and the network changes nothing, the portrait's pixels stay as they are, whatever their size;
        where it changes much, its own pixels are taken.

        Args:
            change: (h, w, 3) float32, grey levels. coarse: (h, w, 3) uint8, the warped window that it is a change of.
        """
        moved = cv2.remap(displacement, identity.uv_map, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source = identity.base_map + cv2.transform(moved, identity.to_px)
        warped = cv2.remap(identity.portrait.picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rows, columns = identity.portrait.region
        corner = np.array([columns.start, rows.start])
        identity.lip_line.cover(warped, points, lambda xy: identity.portrait.transform.to_portrait(xy) - corner)
        delta = cv2.remap(np.ascontiguousarray(change), identity.window_map, None, cv2.INTER_LINEAR)  # 0 outside
        share = cv2.remap(repaint_share(change), identity.window_map, None, cv2.INTER_LINEAR)
        coarse = cv2.remap(coarse, identity.window_map, None, cv2.INTER_LINEAR)
        # coarse + delta is the network's own picture: share of it, the rest of warped + delta
        face = np.subtract(coarse, warped, dtype=np.float32)
        face *= cv2.merge([share] * 3)
        face += warped
        face += delta
        face -= identity.pixels
        face *= identity.feather
        face += identity.pixels
        frame = identity.portrait.picture.copy()
        frame[identity.portrait.region] = np.clip(np.rint(face), 0, 255)
        return frame


def _raster_input(points: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """The landmark lines inside a window of the crop, at half its size: (1, 3, H/2, W/2) float32 in [0, 1]."""
    rows, columns = (slice(part.start // 2, part.stop // 2) for part in window)
    return rasters(points, FACE_SIZE // 2)[rows, columns].transpose(2, 0, 1)[None].astype(np.float32) / 255.0
