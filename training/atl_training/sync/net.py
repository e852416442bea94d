"""The sync expert's network: 0.2 s of mouth and 0.2 s of sound, each to a point on the unit sphere."""
import torch
import torch.nn.functional as F
from torch import nn

from atl_evaluation.sync import SIZE, WINDOW
from atl_landmark_node.features import MELS

WIDTH = 128  # of an embedding
TEMPERATURE = 0.07  # at the start; learnt from there


def _block(convolution: nn.Module) -> nn.Sequential:
    norm = nn.BatchNorm1d if isinstance(convolution, nn.Conv1d) else nn.BatchNorm2d
    return nn.Sequential(convolution, norm(convolution.out_channels), nn.ReLU(inplace=True))


class PictureTower(nn.Module):
    """(B, T, SIZE, SIZE) to (B, T - WINDOW + 1, WIDTH): three frames at once see motion, then three of these make a window;
    what windows share is computed once."""

    def __init__(self):
        super().__init__()
        channels, sides = (24, 48, 64, 96), SIZE // 16
        layers = [_block(nn.Conv2d(3, channels[0], 5, 2, 2, bias=False))]
        layers += [_block(nn.Conv2d(a, b, 3, 2, 1, bias=False)) for a, b in zip(channels, channels[1:])]  # noqa: B905
        self.frames = nn.Sequential(*layers, nn.Flatten())
        self.mix = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels[-1] * sides**2, 192))
        self.window = nn.Sequential(_block(nn.Conv1d(192, 256, WINDOW - 2, bias=False)), nn.Conv1d(256, WIDTH, 1))

    def seen(self, pictures):
        """What it makes of each three frames, (B, T - 2, n)."""
        triples = torch.stack([pictures[:, :-2], pictures[:, 1:-1], pictures[:, 2:]], 2)  # (B, T - 2, 3, SIZE, SIZE)
        return self.mix(self.frames(triples.flatten(0, 1))).unflatten(0, triples.shape[:2])

    def forward(self, pictures):
        seen = self.seen(pictures)
        return F.normalize(self.window(seen.transpose(1, 2)), dim=1).transpose(1, 2)


class SoundTower(nn.Module):
    """(B, 4 T, MELS) to (B, T - WINDOW + 1, WIDTH). Its strides and kernels see exactly a window's features."""

    def __init__(self):
        super().__init__()
        bands = MELS // 16
        self.features = nn.Sequential(
            _block(nn.Conv2d(1, 24, (4, 5), 2, (0, 2), bias=False)),  # a window's 20 features to 9
            _block(nn.Conv2d(24, 48, 3, 2, (0, 1), bias=False)),  # to 4
            _block(nn.Conv2d(48, 64, (1, 3), (1, 2), (0, 1), bias=False)),
            _block(nn.Conv2d(64, 64, (1, 3), (1, 2), (0, 1), bias=False)),
        )
        self.mix = nn.Sequential(nn.Dropout(0.2), _block(nn.Conv1d(64 * bands, 160, 1, bias=False)))
        self.window = nn.Sequential(_block(nn.Conv1d(160, 256, 4, bias=False)), nn.Conv1d(256, WIDTH, 1))

    def forward(self, features):
        heard = self.features(features[:, None])  # (B, C, T - 1, bands): one step a frame
        heard = heard.transpose(2, 3).flatten(1, 2)
        return F.normalize(self.window(self.mix(heard)), dim=1).transpose(1, 2)


class SyncNet(nn.Module):
    """Both towers, and the scales that turn likeness into logits."""

    def __init__(self):
        super().__init__()
        self.pictures, self.sounds = PictureTower(), SoundTower()
        self.log_scale = nn.Parameter(torch.full((2,), TEMPERATURE).log().neg())  # of windows, of whole excerpts

    def forward(self, pictures, features):
        return self.pictures(pictures), self.sounds(features)
