"""Figures of pictures: frames that were drawn against the true ones, of the same size and in step.

Frames are RGB (T, H, W, 3) uint8; what is drawn comes from no lossy file (loaded film does, `shards.encode_video`). A box is x0,
y0, x1, y1 in pixels, (4,) for all frames or (T, 4), as `atl_face.topology.face_box` and `mouth_box` give it; every pixel that it
touches counts. Where the box is NaN (no face was seen) or holds too little of the picture, the frame's figure is NaN.
"""
import cv2
import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from atl_face.topology import face_box, mouth_box

WHITE = 255
PSNR_MOST = 58.9
"""dB: that of 8-bit rounding alone, 10 log10(12 x 255^2). Identical frames, as a still portrait's first, count as this: as
infinite they would make every mean infinite."""
SSIM_WINDOW = 11  # px, what skimage cuts off the Gaussian of sigma 1.5 at, as Wang et al. do
STATIC_LEVELS = 1.0  # grey levels a frame: the wall of a GRID film, noise and coding, has 0.5, a speaking mouth several
BOXES = {"": None, "_face": face_box, "_mouth": mouth_box}


def compare(real: np.ndarray, made: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """PSNR and SSIM of the whole picture, in the face's and in the mouth's box, sharpness in the boxes: each (T,), by the
    catalogue's names.

    landmarks: (T, 68, 2|3) of the true face in pixels, NaN where none was seen; they place the boxes in both.
    """
    figures = {}
    for name, box_of in BOXES.items():
        boxes = None if box_of is None else box_of(landmarks)
        figures |= {"psnr" + name: psnr(real, made, boxes), "ssim" + name: ssim(real, made, boxes)}
        if boxes is not None:
            figures["sharpness" + name] = sharpness(real, made, boxes)
    return figures


def psnr(real: np.ndarray, made: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio by frame, (T,) dB over all three channels, at most PSNR_MOST."""

    def of(a: np.ndarray, b: np.ndarray) -> float:
        with np.errstate(divide="ignore"):
            return min(peak_signal_noise_ratio(a, b, data_range=WHITE), PSNR_MOST)

    return _by_frame(of, real, made, boxes, 1)


def ssim(real: np.ndarray, made: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Structural similarity by frame, (T,) at most 1, of luma: the mean over all windows that lie within the box.

    Gaussian windows of sigma 1.5 px, population covariance, K1 0.01, K2 0.03: Wang, Bovik, Sheikh and Simoncelli, "Image
    quality assessment: from error visibility to structural similarity", 2004. They judge luma; some papers average over
    colours instead, which differs by a few thousandths.
    """

    def of(a: np.ndarray, b: np.ndarray) -> float:
        return structural_similarity(a, b, data_range=WHITE, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)

    return _by_frame(of, _grey(real), _grey(made), boxes, SSIM_WINDOW)


def sharpness(real: np.ndarray, made: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Laplacian energy (mean square of luma's Laplacian) of the drawn frame over the true one's, (T,): 1 is as sharp.

    Below 1 is blurred; above 1 is sharper, or noisy: read it beside PSNR. NaN where the true one is flat.
    """

    def energy(grey: np.ndarray) -> float:
        return float(np.mean(np.square(cv2.Laplacian(grey, cv2.CV_32F))))

    def of(a: np.ndarray, b: np.ndarray) -> float:
        true = energy(a)
        return energy(b) / true if true else float("nan")

    return _by_frame(of, _grey(real), _grey(made), boxes, 3)


def static_pixels(real: np.ndarray) -> np.ndarray:
    """Where the truth stands still, bool (H, W): its luma differs from frame to frame by STATIC_LEVELS on average or less."""
    return _differences(real).mean(0) <= STATIC_LEVELS


def outside_faces(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Where no frame has its face, bool (height, width), of boxes (T, 4): what may be called static without a truth."""
    outside = np.ones((height, width), bool)
    for box in boxes[np.isfinite(boxes).all(-1)]:
        outside[slices(box, height, width)] = False
    return outside


def flicker(made: np.ndarray, static: np.ndarray) -> np.ndarray:
    """Mean absolute difference in luma from each frame to the next over static pixels, (T - 1,) grey levels of 255.

    static: bool (H, W), `static_pixels` of the truth or, without one, `outside_faces`; NaN where nothing is static. The
    truth's own flicker there, the noise of its camera and coder, is the floor to print beside it.
    """
    if not static.any():
        return np.full(len(made) - 1, np.nan)
    return _differences(made)[:, static].mean(1)


def _grey(frames: np.ndarray) -> np.ndarray:
    """Luma (T, H, W) uint8 (ITU-R BT.601) of RGB frames."""
    frames = np.asarray(frames)
    return cv2.cvtColor(frames.reshape(-1, *frames.shape[2:]), cv2.COLOR_RGB2GRAY).reshape(frames.shape[:3])


def _differences(frames: np.ndarray) -> np.ndarray:
    """(T - 1, H, W) absolute differences of luma, uint8."""
    grey = _grey(frames)
    return cv2.absdiff(grey[1:], grey[:-1])


def slices(box: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a picture that a finite box (4,) touches."""
    (x0, y0), (x1, y1) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    return slice(max(y0, 0), min(max(y1, 0), height)), slice(max(x0, 0), min(max(x1, 0), width))


def _by_frame(figure, real: np.ndarray, made: np.ndarray, boxes: np.ndarray | None, least: int) -> np.ndarray:
    """`figure` of every pair of frames inside its box; NaN where that is NaN or less than `least` pixels wide or high."""
    if len(real) != len(made) or real[0].shape != made[0].shape:
        raise ValueError(f"frames must be as many and of one size, not {len(real)} of {real[0].shape} and "
                         f"{len(made)} of {made[0].shape}")  # fmt: skip
    height, width = real[0].shape[:2]
    boxes = np.broadcast_to((0, 0, width, height) if boxes is None else boxes, (len(real), 4))
    values = np.full(len(real), np.nan)
    for k, box in enumerate(boxes):
        if np.isfinite(box).all():
            rows, columns = slices(box, height, width)
            if min(rows.stop - rows.start, columns.stop - columns.start) >= least:
                values[k] = figure(real[k][rows, columns], made[k][rows, columns])
    return values
