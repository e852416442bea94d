"""Paste-back: the portrait warped at its own resolution, with what the network changed in the crop laid over it."""
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from atl_diffusion_node.lips import LipLine
from atl_diffusion_node.portrait import Portrait, fade_in
from atl_diffusion_node.runtime import FACE_SIZE
from atl_diffusion_node.warp import Room

REPAINT_FROM, REPAINT_FULL = 10.0, 40.0
"""Grey levels of change from which on the network's own picture begins to replace the portrait's finer pixels, and does so
wholly. What a warp has squeezed (teeth behind lips that shut, an eye that closes) has detail that only the crop's coarser
pixels know to be gone."""
ROOM = Room.around(FACE_SIZE)  # is warped; the network sees the crop in it
EDGE = 0.07  # crop sides over which what the network repaints fades out; at .12 GRID loses .02 dB (throwaway script)
FINELY = cv2.INTER_CUBIC
"""Of the portrait's pixels from brows to chin: linear takes a tenth of the mouth's sharpness. The rest is linear: .07 dB better
on GRID, and half a millisecond faster at 512 px."""
_BYTE = 255.0
Overlay = tuple[np.ndarray, np.ndarray]
"""What of the warped portrait is kept where its region reaches into the crop, and what is added, (h, w, 3) float32 each."""


def _fade() -> np.ndarray:
    """(S, S, 1) float32: 1 inside the crop, falling to 0 towards its edges, over which the warp goes on."""
    from_edge = (np.arange(FACE_SIZE, dtype=np.float32) + 0.5) / FACE_SIZE
    fade = fade_in(np.minimum(from_edge, 1 - from_edge), EDGE)
    return np.minimum(fade[:, None], fade)[..., None]


EDGE_FADE = {channels: np.repeat(_fade(), channels, axis=2) for channels in (1, 3)}  # of what the network changes


def _room_fade() -> np.ndarray:
    """(*ROOM.shape, 2) float32: 1 in the crop, falling to 0 where the room around it ends."""
    rows, columns = ROOM.shape
    y, x = (np.arange(count, dtype=np.float32) + 0.5 for count in (rows, columns))
    down = np.where(y < ROOM.above, y / ROOM.above, (rows - y) / ROOM.below)
    across = np.minimum(x, columns - x) / ROOM.aside
    fade = np.multiply.outer(fade_in(down, 1), fade_in(across, 1))
    return np.repeat(fade[..., None], 2, axis=2)


_ROOM_FADE = _room_fade()


def beyond_the_crop(flow: np.ndarray) -> np.ndarray:
    """The network's flow (S, S, 2) px, going on around the crop, where it fades out: (*ROOM.shape, 2).

    Hair that a flow widens up to the crop's edge, and no farther, has a notch there.
    """
    around = ROOM.above, ROOM.below, ROOM.aside, ROOM.aside
    return cv2.copyMakeBorder(flow, *around, cv2.BORDER_REPLICATE) * _ROOM_FADE


def changed_share(change: np.ndarray, begin: float, full: float, reach: int) -> np.ndarray:
    """Where a change (h, w, 3), grey levels, is large in any colour: (h, w) uint8, 0 up to `begin` and 255 from `full` on.

    What is large takes its surroundings of `reach` px (odd) along, and fades out softly. In bytes: a quarter of the time.
    """
    red, green, blue = cv2.split(cv2.convertScaleAbs(change, alpha=_BYTE / full))
    share = cv2.LUT(cv2.max(cv2.max(red, green), blue), _ramp(begin, full))
    return cv2.GaussianBlur(cv2.dilate(share, np.ones((reach, reach), np.uint8)), (0, 0), 1.5)


@lru_cache
def _ramp(begin: float, full: float) -> np.ndarray:
    """By bytes of `full`: 0 up to `begin`, then rising to 255."""
    return np.rint(_BYTE * np.clip((np.arange(_BYTE + 1) / _BYTE * full - begin) / (full - begin), 0, 1)).astype(np.uint8)


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


@dataclass
class Canvas:
    """The portrait's pixels that frames are drawn on: what is computed of them once."""

    portrait: Portrait
    lip_line: LipLine
    rim: list[tuple[slice, slice]]  # parts of the portrait's region that hold all of it where the drawn face fades out
    feather: np.ndarray  # (h, w, 3): how much of the drawn face each pixel of the region takes
    to_px: np.ndarray  # (2, 2): crop coordinates to portrait pixels, linear part
    base_map: np.ndarray = field(repr=False)  # (h, w, 2) float32: the region's own pixel positions in the picture
    room_map: tuple[np.ndarray, np.ndarray] = field(repr=False)  # where the region's pixels lie in ROOM, as `remap` wants it
    inner: tuple[slice, slice]  # the region's rows and columns that reach into the crop
    crop_map: tuple[np.ndarray, np.ndarray] | None = field(repr=False)  # where those lie in the crop; None: nowhere

    @classmethod
    def of(cls, portrait: Portrait, lip_line: LipLine) -> "Canvas":
        rows, columns = portrait.region
        y, x = np.mgrid[rows, columns].astype(np.float32)
        place = portrait.region_uv * FACE_SIZE - 0.5
        reaches = ((place > -1) & (place < FACE_SIZE)).all(axis=-1)
        inner = tuple(_span(reaches.any(axis=axis)) for axis in (1, 0))
        return cls(
            portrait, lip_line,
            rim=_rim(portrait.feather[..., 0]),
            feather=np.repeat(portrait.feather, 3, axis=2),
            to_px=np.linalg.inv(portrait.transform.matrix[:, :2]).astype(np.float32),
            base_map=np.stack([x, y], axis=-1),
            room_map=_fixed(place + np.float32(ROOM.corner)), inner=inner,
            crop_map=_fixed(place[inner]) if place[inner].size else None,  # a bag's portrait may lie beside its crop
        )  # fmt: skip

    def paste(self, points: np.ndarray, displacement: np.ndarray, overlay: Callable[[], Overlay | None] | None) -> np.ndarray:
        """The frame (H, W, 3) uint8: the portrait warped, with the network's change, fading into the untouched picture.

        Where nothing moves and the network changes nothing, the portrait's pixels stay as they are, whatever their size;
        where it changes much, its own pixels are taken.

        Args:
            points: landmarks (68, 2|3), crop coordinates.
            displacement: (*ROOM.shape, 2), see `FaceWarp`.
            overlay: waits for what is laid over it; None is nothing.
        """
        picture = self.portrait.picture
        way = cv2.transform(displacement, self.to_px)
        source = cv2.remap(way, *self.room_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source += self.base_map
        warped = cv2.remap(picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rows, columns = self.portrait.region
        corner = np.array([columns.start, rows.start])
        part = _within(self.portrait.transform.to_portrait(points)[:, :2] - corner, warped.shape)
        if all(span.start < span.stop for span in part):
            cv2.remap(picture, source[part], None, FINELY, warped[part], borderMode=cv2.BORDER_REPLICATE)
        self.lip_line.cover(warped, points, lambda xy: self.portrait.transform.to_portrait(xy) - corner)
        if overlay and (parts := overlay()):
            kept, added = parts
            inside = np.multiply(warped[self.inner], kept, dtype=np.float32)
            inside += added
            warped[self.inner] = np.clip(np.rint(inside, out=inside), 0, 255, out=inside)
        frame = picture.copy()
        still = frame[self.portrait.region]
        for part in self.rim:
            fading = np.subtract(warped[part], still[part], dtype=np.float32)
            warped[part] = np.rint(still[part] + self.feather[part] * fading)
        frame[self.portrait.region] = warped
        return frame

    def overlay(self, change: np.ndarray, pixels: np.ndarray) -> Overlay | None:
        """How the network's change (S, S, 3), grey levels, to pixels (S, S, 3) uint8 of the crop is laid over the portrait.

        A share of the network's own picture, pixels + change, is taken, the rest of the warped portrait + change.
        """
        if self.crop_map is None:
            return None
        share = changed_share(change, REPAINT_FROM, REPAINT_FULL, reach=5) * (EDGE_FADE[1][..., 0] / np.float32(_BYTE))
        added = np.multiply(pixels, cv2.merge([share] * 3), dtype=np.float32)
        added += change
        share, added = (cv2.remap(part, *self.crop_map, cv2.INTER_LINEAR) for part in (share, added))  # beside the crop: none
        return cv2.merge([1 - share] * 3), added


def _fixed(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A map (h, w, 2) of px in the form that OpenCV makes of it at every use: the same picture, a tenth faster."""
    return cv2.convertMaps(np.ascontiguousarray(place, np.float32), None, cv2.CV_16SC2)
