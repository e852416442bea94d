"""A patch critic that keeps teeth and lips sharp: is this patch, with these landmark lines, a picture or a guess?"""
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

LOGIT_SCALE = 10.0  # spectral norm leaves logits tiny; unscaled, the hinge loss hardly learns


class PatchCritic(nn.Module):
    """(N, 3, S, S) frames and (N, 3, S/2, S/2) rasters to patch logits (N, 1, S/4, S/4)."""

    def __init__(self):
        super().__init__()

        def conv(inside, outside, kernel, stride):
            return spectral_norm(nn.Conv2d(inside, outside, kernel, stride, 1))

        self.body = nn.Sequential(
            conv(6, 32, 4, 2), nn.LeakyReLU(0.2), conv(32, 64, 4, 2), nn.LeakyReLU(0.2),
            conv(64, 128, 3, 1), nn.LeakyReLU(0.2), conv(128, 1, 3, 1),
        )  # fmt: skip

    def forward(self, frame, rasters):
        lines = F.interpolate(rasters, scale_factor=2.0, mode="nearest")
        return LOGIT_SCALE * self.body(torch.cat([frame, lines], 1))


def hinge(critic: PatchCritic, real, fake, rasters):
    """The critic's own loss (Lim and Ye, "Geometric GAN", 2017)."""
    return F.relu(1 - critic(real, rasters)).mean() + F.relu(1 + critic(fake.detach(), rasters)).mean()
