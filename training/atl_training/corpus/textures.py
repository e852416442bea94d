"""Pictures that the renderer samples: skins with the lips' mask, combed hair, baked noise, and paint masks."""

from pathlib import Path

import cv2
import numpy as np

from atl_training.corpus.assets import LANDMARK_VERTICES

SKIN_SIZE = 2048  # sources are 512; the extra room holds a clean lip edge


def read_rgba(path: Path) -> np.ndarray:
    """(H, W, 4) uint8 RGBA."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return cv2.cvtColor(picture, code)


def skin_texture(path: Path, lip_mask: Path, size: int = SKIN_SIZE) -> np.ndarray:
    """Skin colours, mildly sharpened, with the lips in alpha: (size, size, 4) uint8."""
    skin = cv2.resize(read_rgba(path)[..., :3], (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    skin = skin * 1.4 - cv2.GaussianBlur(skin, (0, 0), size / 512) * 0.4
    grey = skin.mean(2, keepdims=True)
    # The dark skins are painted too red: the darker, the more colour is taken out, down to two thirds.
    skin = grey + (skin - grey) * (0.66 + 0.34 * np.clip(grey / 170, 0, 1))
    lips = cv2.resize(read_rgba(lip_mask)[..., :1], (size, size))
    return np.dstack([np.clip(skin, 0, 255).astype(np.uint8), lips])


def hair_texture(path: Path) -> np.ndarray:
    """Strands only: lightness relative to its neighbourhood around 127, so that the colour is free; alpha kept."""
    source = read_rgba(path).astype(np.float32)
    alpha, light = source[..., 3] / 255, source[..., :3].mean(2)
    around = cv2.GaussianBlur(light * alpha, (0, 0), 12) / (cv2.GaussianBlur(alpha, (0, 0), 12) + 0.02)
    relative = np.clip(light / np.maximum(around, 6), 0.5, 2.2) ** 1.3
    noise = np.random.default_rng(1).normal(0, 1, light.shape).astype(np.float32)
    strands = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=20)
    relative *= 1 + 0.28 * strands / strands.std()
    grey = np.clip(relative * 127, 0, 255)
    return np.dstack([grey, grey, grey, source[..., 3]]).astype(np.uint8)


def noise_texture(size: int = 1024) -> np.ndarray:
    """Tileable noise (size, size, 4) uint8: R pores, G freckles, B hair dots, A blotches. Always the same."""
    rng = np.random.default_rng(7)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))

    def blurred(sigma: float) -> np.ndarray:
        spectrum = np.fft.fft2(rng.normal(0, 1, (size, size))) * np.exp(-2 * (np.pi * sigma * frequency) ** 2)
        field = np.fft.ifft2(spectrum).real
        return field / field.std()

    pores = 0.5 + 0.16 * (0.6 * blurred(1.2) + 0.5 * blurred(3) + 0.4 * blurred(7))
    freckles = np.clip((blurred(4.5) - 1.35) * 2.2, 0, 1) * np.clip(0.4 + 0.5 * blurred(30), 0, 1)
    dots = np.clip((blurred(1.1) - 0.9) * 1.3, 0, 1)
    blotches = 0.5 + 0.18 * (blurred(20) + 0.7 * blurred(60))
    return (np.clip(np.dstack([pores, freckles, dots, blotches]), 0, 1) * 255).astype(np.uint8)


WRINKLE_SPAN = (1.0, -1.3, 1.2)  # eye distances from the middle of the eyes: half width, lowest, highest
WRINKLE_SIZE = 512


def wrinkle_plane(base: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Where each body vertex lies on the plane that wrinkles are drawn on, (n, 2) in 0..1; (0, 0), which is smooth, for
    the back of the head. base: (V, 3) the average mesh."""
    side, y, z = _face_coordinates(base, ids).T
    wide, low, high = WRINKLE_SPAN
    plane = np.stack([side / (2 * wide) + 0.5, (y - low) / (high - low)], 1)
    return np.where((z > -0.85)[:, None], np.clip(plane, 0, 1), 0).astype(np.float32)


def wrinkle_texture(seed: int) -> np.ndarray:
    """Grooves on that plane, (WRINKLE_SIZE, WRINKLE_SIZE, 4) uint8: R the brow's (raised), G between the brows (frown), B at
    the outer eyes and below (squint), A from the nose to the mouth's corners (smile). Every seed is somebody else's."""
    rng = np.random.default_rng(seed)
    sheets = [np.zeros((WRINKLE_SIZE, WRINKLE_SIZE), np.uint8) for _ in range(4)]
    for height in np.linspace(0.42, 0.80, int(rng.integers(3, 6))):
        x = np.linspace(-0.52, 0.52, 24)
        _groove(sheets[0], rng, x, height + rng.normal(0, 0.015) + 0.06 * x**2, 0.010)
    for side in (-1, 1):
        y = np.linspace(0.14, 0.38, 8)
        _groove(sheets[1], rng, side * (0.07 + 0.02 * (y - 0.14)) + rng.normal(0, 0.008), y, 0.004)
        for slope in np.linspace(-0.6, 0.35, int(rng.integers(3, 5))):
            x = np.linspace(0.54, rng.uniform(0.64, 0.76), 8)
            _groove(sheets[2], rng, side * x, 0.0 + slope * (x - 0.48), 0.004)
        x = np.linspace(0.18, 0.46, 12)
        _groove(sheets[2], rng, side * x, -0.17 + 0.6 * (x - 0.3) ** 2, 0.004)
        t = np.linspace(0, 1, 16)
        _groove(sheets[3], rng, side * (0.20 + 0.22 * t + 0.05 * np.sin(np.pi * t)), -0.42 - 0.42 * t, 0.006)
    return np.dstack([cv2.GaussianBlur(sheet, (0, 0), 1.6)[::-1] for sheet in sheets])  # top row first, as pictures are


def _groove(sheet: np.ndarray, rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wobble: float) -> None:
    """Draw a line through points in eye distances, fading to its ends."""
    x, y = np.broadcast_arrays(x, y)
    y = y + np.interp(np.arange(len(y)), np.linspace(0, len(y) - 1, 5), rng.normal(0, wobble, 5))
    wide, low, high = WRINKLE_SPAN
    points = np.stack([x / (2 * wide) + 0.5, (y - low) / (high - low)], 1) * WRINKLE_SIZE
    strength = rng.uniform(0.6, 1.0)
    for k, (a, b) in enumerate(zip(points, points[1:], strict=False)):
        fade = strength * np.sin(np.pi * (k + 0.5) / (len(points) - 1)) ** 0.5
        ends = [tuple(int(v) for v in np.round(p * 16)) for p in (a, b)]
        cv2.line(sheet, *ends, int(255 * fade), 2, cv2.LINE_AA, 4)


def _face_coordinates(base: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Vertices (n, 3) in eye distances from the middle of the eyes: x to the person's left, y up, z to the front."""
    points = base[LANDMARK_VERTICES]
    return (base[ids] - (points[36] + points[45]) / 2) / np.linalg.norm(points[45] - points[36])


def paint_masks(base: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Where beard, blush, eye shadow and cropped hair grow, per body vertex: (n, 4) in 0..1.

    base: (V, 3) the average mesh, whose vertices mean the same spot on everybody. Measured in eye distances from the
    middle of the eyes: x to the side, y up, z to the front.
    """
    points = base[LANDMARK_VERTICES]
    unit = np.linalg.norm(points[45] - points[36])
    local = _face_coordinates(base, ids)
    side, y, z = np.abs(local[:, 0]), local[:, 1], local[:, 2]
    beard_top = np.interp(side, [0, 0.18, 0.32, 0.5, 0.75, 0.9], [-0.60, -0.58, -0.74, -0.70, -0.45, -0.2])
    beard = _ramp(beard_top - y, 0.0, 0.14) * _ramp(y, -1.75, -1.38) * _ramp(z, -1.1, -0.85)
    blush = np.exp(-((side - 0.55) ** 2 + (y + 0.42) ** 2) / 0.2**2) * (z > -0.8)
    lid = (points[37] + points[38]) / 2 - (points[36] + points[45]) / 2
    lid_side, lid_y = abs(lid[0]) / unit, lid[1] / unit + 0.05
    shadow = np.exp(-(((side - lid_side) / 0.17) ** 2) - ((y - lid_y) / 0.07) ** 2) * (y > lid_y - 0.09) * (z > -0.5)
    hairline = np.interp(z, [-2, -1.2, -0.9, -0.6, -0.3, -0.1], [-0.9, -0.6, -0.25, 0.3, 0.66, 0.8])
    scalp = _ramp(y - hairline, -0.03, 0.1)
    return np.stack([beard, blush, shadow, scalp], 1).astype(np.float32)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    x = np.clip((value - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)
