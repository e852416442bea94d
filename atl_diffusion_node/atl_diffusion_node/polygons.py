"""Polygons between pixels: OpenCV draws them in fixed point."""
import cv2
import numpy as np

SHIFT = 4  # fractional bits of a corner: sixteenths of a pixel


def fixed_point(px: np.ndarray) -> np.ndarray:
    """Corners (..., 2) px, where pixel i covers [i, i + 1), as OpenCV's drawing takes them with SHIFT: int32."""
    return np.round((px - 0.5) * (1 << SHIFT)).astype(np.int32)


def filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: 1 inside a polygon (n, 2) px, 0 outside, its edge antialiased."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [fixed_point(polygon)], 255, cv2.LINE_AA, SHIFT)
    return mask.astype(np.float32) / 255
