"""Every figure of one clip of frames, by the catalogue's names (`metrics/catalogue.py`)."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atl_evaluation.metrics import motion, picture, statistics
from atl_evaluation.metrics.identity import Embedder, embeddings, identity
from atl_evaluation.metrics.tracking import track
from atl_evaluation.sync import SyncExpert, is_silent
from atl_face.errors import UserError
from atl_face.topology import face_box

EMBED_EVERY = 5  # frames: neighbours are alike, and an embedding takes 0.1 s


@dataclass(frozen=True)
class Truth:
    """What a clip should look like: frames (T, H, W, 3) uint8 and landmarks (T, 68, 2|3) px of their face."""

    frames: np.ndarray
    landmarks: np.ndarray


def against(truth: Truth, made: np.ndarray) -> dict[str, float]:
    """PSNR, SSIM and sharpness of frames (T, H, W, 3) against as many true ones of the same size, means over frames."""
    compared = picture.compare(truth.frames, made, truth.landmarks)
    return {name: statistics.mean_of(values) for name, values in compared.items()}


class Judge:
    """Figures of clips.

    Args:
        with_identity: embed faces, which needs the extras of requirements/evaluation.txt (UserError without them).
    """

    def __init__(self, with_identity: bool):
        self._expert, self.with_identity = SyncExpert(), with_identity
        self._embed = Embedder() if with_identity else None

    def __call__(self, made: Sequence[np.ndarray], sound: np.ndarray, portrait: np.ndarray, truth: Truth | None = None,
                 seen: np.ndarray | None = None, impostors: np.ndarray | None = None) -> dict[str, float]:  # fmt: skip
        """Figures of the frames `made` (T, H, W, 3) of the person in `portrait` (H, W, 3) who says `sound` (n,) 16 kHz.

        Args:
            truth: as many frames of the same size, in step; without it, what needs one is left out.
            seen: the detector's landmarks in `made`, where they are known already.
            impostors: (m, 128) embeddings of other people's pictures; None: nobody to be taken for.
        """
        made = np.asarray(made)
        seen = track(made) if seen is None else seen
        figures = motion.alone(seen) | self._sync(made, seen, sound)
        if truth is None:
            static = picture.outside_faces(face_box(seen), *made.shape[1:3])
        else:
            static = picture.static_pixels(truth.frames)
            figures |= against(truth, made) | motion.compare(truth.landmarks, seen)
        figures["flicker"] = statistics.mean_of(picture.flicker(made, static))
        if self._embed:
            own = embeddings(self._embed, [portrait])[0]
            figures |= identity(own, embeddings(self._embed, made[::EMBED_EVERY]), impostors)
        return figures

    def _sync(self, made: np.ndarray, seen: np.ndarray, sound: np.ndarray) -> dict[str, float]:
        nothing = dict.fromkeys(("lse_c", "lse_d", "sync_offset"), float("nan"))
        if is_silent(sound):
            return nothing
        try:
            score = self._expert.score(made, seen, sound)
        except UserError:  # too short, or hardly ever a face: no figure
            return nothing
        return {"lse_c": score.confidence, "lse_d": score.distance, "sync_offset": score.offset}
