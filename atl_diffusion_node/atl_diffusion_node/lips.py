"""Lips that shut over teeth: what a warp leaves between them is covered by the line that lips make.

Most people smile in their portraits. A warp that shuts such a mouth squeezes its teeth into a sparkling thread. The line
between lips that touch is a shade of the lips themselves, so that is what is painted there; the network does the rest.
"""
from dataclasses import dataclass

import cv2
import numpy as np

from atl_diffusion_node.polygons import filled
from atl_diffusion_node.warp import part_lips
from atl_face.topology import CLOSED_LIP_GAP, INNER_LIPS, OUTER_LIPS, lip_gap

LINE_SHADE = 0.45  # of the lips' median colour: chosen by eye (in the shipped portrait the line is 0.55 to 0.6 of it)
SEALED, OPEN = 0.2, 0.5  # shares of the portrait's own lip gap up to which the mouth is covered, and from which on it is not
SOFTNESS = 0.004  # crop sides that the line's edge is blurred by: a pixel of 256


@dataclass(frozen=True)
class LipLine:
    """The line between the lips of one portrait: its colour (3,) in grey levels, and the portrait's own lip gap."""

    colour: np.ndarray
    gap: float

    @classmethod
    def of(cls, crop: np.ndarray, neutral: np.ndarray) -> "LipLine":
        """From the portrait's crop (S, S, 3) uint8 and landmarks (68, 2|3), crop coordinates."""
        size = crop.shape[0]
        ring = filled(neutral[OUTER_LIPS, :2] * size, (size, size)) - filled(neutral[INNER_LIPS, :2] * size, (size, size))
        lips = crop[ring > 0.5]
        colour = np.median(lips, axis=0) if len(lips) else np.zeros(3)
        return cls((LINE_SHADE * colour).astype(np.float32), float(lip_gap(neutral)))

    def share(self, points: np.ndarray) -> float:
        """How much the mouth of a frame is covered, 0 to 1, for its landmarks (68, 2|3); 0 where the portrait's is shut."""
        if self.gap < CLOSED_LIP_GAP:
            return 0.0
        ramp = np.clip((OPEN - float(lip_gap(points)) / self.gap) / (OPEN - SEALED), 0, 1)
        return float(ramp * ramp * (3 - 2 * ramp))

    def cover(self, picture: np.ndarray, points: np.ndarray, to_px) -> None:
        """Paint the line into a warped picture (H, W, 3) uint8, in place.

        Args:
            points: (68, 2|3) landmarks of the frame, crop coordinates.
            to_px: takes crop coordinates (n, 2) to the picture's (pixel i covers [i, i + 1)).
        """
        share = self.share(points)
        if share == 0:
            return
        inner = np.asarray(to_px(part_lips(np.asarray(points, np.float64)[:, :2])[INNER_LIPS]))
        blur_px = SOFTNESS * float(np.linalg.norm(to_px(np.array([[1.0, 0.0]])) - to_px(np.zeros((1, 2)))))
        margin = int(np.ceil(3 * blur_px)) + 1
        (x0, y0), (x1, y1) = np.floor(inner.min(0)).astype(int) - margin, np.ceil(inner.max(0)).astype(int) + margin
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, picture.shape[1]), min(y1, picture.shape[0])
        if x0 >= x1 or y0 >= y1:
            return
        mask = cv2.GaussianBlur(filled(inner - (x0, y0), (y1 - y0, x1 - x0)), (0, 0), blur_px)
        # A line a pixel thin is blurred to half its strength: the middle of it is to be the line's own colour.
        mask = share * np.minimum(mask / max(float(mask.max()), 1e-6), 1)[..., None]
        part = picture[y0:y1, x0:x1]
        part[...] = np.rint(part + mask * (self.colour - part))
