"""Losses by what other networks see in a frame: a picture's features, whose face it is, and what its lips say.

None of them ships with a weight above 0: what they are worth is in docs/results.md (`atl_training.renderer.loss_arms`).
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from atl_diffusion_node.runtime import FACE_SIZE
from atl_evaluation.metrics.features import Perceptual
from atl_evaluation.sync import FLAT, SIDE, SIZE
from atl_face.align import CROP_SIDE
from atl_face.errors import UserError
from atl_training.checkpoint import load_checkpoint
from atl_training.renderer.batches import Batch
from atl_training.sync.net import SyncNet

BLOCKS = 3  # of VGG-16: edges, textures, and what is as large as a tooth; the other two cost two thirds more
ABOVE = 6  # px of the crop: so much higher than the mouth's view the expert's square begins, in the mean over faces
LOOKED_AT = 6  # frames of a batch: with these a step takes about twice as long
EPSILON = 1.0  # beside squared norms of thousands: no gradient grows without bound where nothing is seen
WIDTH = 64  # of an identity's embedding
SCALE = 10.0  # of likeness to logits: 1 / temperature 0.1, as in `landmarks.critic`
RECOGNITION_RATE = 1e-3
RECOLOUR = 0.25  # +- gain of each channel and, halved, its offset: a face isn't known by the light


class PerceptualLoss:
    """LPIPS's distance (Zhang and others, 2018) on the first BLOCKS blocks of `Perceptual`'s network, without learned weights."""

    def __init__(self, device: torch.device):
        self._net = Perceptual(device)

    def __call__(self, made: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Of frames (N, 3, H, W) in [-1, 1], mean over pixels, summed over blocks, of a batch's first LOOKED_AT: any will do."""
        ours, true = (self._net.blocks(127.5 * (frames[:LOOKED_AT] + 1), BLOCKS) for frames in (made, batch.target))
        return sum((unit(a) - unit(b)).square().sum(1).mean() for a, b in zip(ours, true, strict=True))


def unit(features: torch.Tensor) -> torch.Tensor:
    """Features (N, C, H, W) scaled to unit length by pixel."""
    features = features.float()
    return features * (features.square().sum(1, keepdim=True) + EPSILON).rsqrt()


class FaceCritic(nn.Module):
    """Whose face is this? Faces (N, 3, H, W) in [-1, 1] of the face's view as points on the unit sphere, (N, WIDTH).

    It learns along with the renderer, on true frames alone, to find the portrait that a frame belongs to among the batch's
    (InfoNCE, as `landmarks.critic`), in any light and by what lies in the face, not by hair or wall. Several clips of one man
    in a batch are told apart like others. dlib's network, which judges, has no part in it.
    """

    def __init__(self):
        super().__init__()
        widths = 3, 32, 64, 96, 128
        layers = [layer for a, b in zip(widths[:-1], widths[1:], strict=True)
                  for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2))]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * widths[-1], WIDTH))

    def forward(self, faces):
        axis = torch.linspace(-1, 1, 64, device=faces.device)
        inside = ((axis[None] / 0.55) ** 2 + ((axis[:, None] - 0.1) / 0.75) ** 2 <= 1).float()  # eyes to throat, cheek to cheek
        return F.normalize(self.body(F.adaptive_avg_pool2d(faces, 64) * inside).float(), dim=1)

    def finds(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """What it learns by: mean cross-entropy (nats) of each segment's portrait among the batch's, and the reverse. The
        generator is the CPU's."""
        faces = batch.target[:: batch.frames], batch.portrait
        seen, owners = (self(recoloured(each, generator)) for each in faces)
        logits, own = SCALE * seen @ owners.T, torch.arange(len(seen), device=seen.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    def unlike(self, made: torch.Tensor, batch: Batch) -> torch.Tensor:
        """What the renderer is asked to make small: 1 - the cosine of a drawn and the true frame, mean over frames."""
        with torch.no_grad():
            true = self(batch.target)
        return 1 - (self(made) * true).sum(1).mean()


def recoloured(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each face in another light."""
    gain, offset = (RECOLOUR * (2 * torch.rand(len(faces), 3, 1, 1, generator=generator) - 1).to(faces.device) for _ in range(2))
    return faces * (1 + gain) + offset / 2


class LipReader:
    """What an expert of sync sees of three frames' lips, drawn and true: features of its picture tower, cosines.

    The expert is a training of its own (`atl_training.sync.train --seed 7`), not the one that judges, though of the same kind
    and GRID's film. It is asked whether drawn lips say to it what the true ones say, so that no sound is needed (as emotional
    and lip-reading losses of 3D faces do it: Filntisis and others, "SPECTRE", 2022).

    Args:
        run: folder of the expert's training.

    Raises:
        UserError: there is none.
    """

    LEAST = 3  # frames: the tower's first layer sees so many at once

    def __init__(self, run: Path, device: torch.device):
        if not (run / "last.pt").exists():
            raise UserError(f"{run} holds no training of a sync expert: run atl_training.sync.train.")
        net = SyncNet()
        try:
            net.load_state_dict(load_checkpoint(run / "last.pt")["net"])
        except RuntimeError as error:  # torch's list of all the names and shapes
            raise UserError(f"{run} holds a training of another network than a sync expert.") from error
        self._tower = net.pictures.eval().requires_grad_(False).to(device)

    def __call__(self, made: torch.Tensor, batch: Batch) -> torch.Tensor:
        """1 - cosine of frames (B T, 3, H, W) of the mouth's view and the true ones, mean; 0 of segments shorter than LEAST."""
        if batch.frames < self.LEAST:
            return made.new_zeros(())
        true = mouths(batch.target, batch.frames)
        mean, deviation = true.mean((1, 2, 3), keepdim=True), true.std((1, 2, 3), keepdim=True)
        ours, theirs = (self._seen((m - mean) / (deviation + FLAT)) for m in (mouths(made, batch.frames), true))
        return 1 - F.cosine_similarity(ours, theirs, dim=1).mean()

    def _seen(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B (T - 2), n) of (B, T, SIZE, SIZE)."""
        return self._tower.seen(pictures).flatten(0, 1).float()


def mouths(frames: torch.Tensor, count: int) -> torch.Tensor:
    """(B, T, SIZE, SIZE) grey levels of the mouth's view, (B T, 3, H, W) in [-1, 1]: as `atl_evaluation.sync.mouth_crops` cuts
    them to some pixels of SIZE: the view follows the mouth's corners, isn't level with a head that leans (as the crop isn't), and
    ends below the nostrils, so that its edge goes on above."""
    side = round(SIDE * FACE_SIZE / CROP_SIDE)
    frames = F.pad(frames, (0, 0, ABOVE, 0), mode="replicate")
    left = (frames.shape[3] - side) // 2
    luma = torch.tensor([0.299, 0.587, 0.114], device=frames.device)
    grey = (127.5 * (frames[:, :, :side, left: left + side] + 1) * luma[:, None, None]).sum(1, keepdim=True)
    return F.interpolate(grey, (SIZE, SIZE), mode="bilinear", antialias=True).view(-1, count, SIZE, SIZE)
