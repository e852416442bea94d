"""A patch critic that keeps teeth and lips sharp: is this patch, with these landmark lines, a picture or a guess?

Beside the picture it sees what a small blur takes from it: with that it tells a picture from a blurred one at once, and a critic
with spectral norm that had to find it out by itself hardly learned.
"""
import torch
import torch.nn.functional as F
from torch import nn

DETAIL_GAIN = 4.0  # fine detail is about a quarter as strong as the picture


class PatchCritic(nn.Module):
    """(N, 3, H, W) frames and (N, 3, H/2, W/2) rasters to patch logits (N, 1, H/4, W/4)."""

    def __init__(self):
        super().__init__()

        def conv(inside, outside, kernel, stride):
            layer = nn.Conv2d(inside, outside, kernel, stride, 1)
            nn.init.kaiming_normal_(layer.weight, 0.2)
            nn.init.zeros_(layer.bias)
            return layer

        self.body = nn.Sequential(
            conv(9, 32, 4, 2), nn.LeakyReLU(0.2), conv(32, 64, 4, 2), nn.LeakyReLU(0.2),
            conv(64, 128, 3, 1), nn.LeakyReLU(0.2), conv(128, 1, 3, 1),
        )  # fmt: skip
        nn.init.normal_(self.body[-1].weight, 0, 0.01)  # it begins without an opinion

    def features(self, frame, rasters) -> list[torch.Tensor]:
        """The answers of its layers, the logits last."""
        fine = DETAIL_GAIN * (frame - F.avg_pool2d(frame, 3, 1, 1))
        h = torch.cat([frame, fine, F.interpolate(rasters, scale_factor=2.0, mode="nearest")], 1)
        found = []
        for layer in self.body:
            h = layer(h)
            if isinstance(layer, nn.LeakyReLU):
                found.append(h)
        return [*found, h]

    def forward(self, frame, rasters):
        return self.features(frame, rasters)[-1]


def hinge(critic: PatchCritic, real, fake, rasters):
    """The critic's own loss (Lim and Ye, "Geometric GAN", 2017)."""
    return F.relu(1 - critic(real, rasters)).mean() + F.relu(1 + critic(fake.detach(), rasters)).mean()


def persuade(critic: PatchCritic, real, fake, rasters) -> dict[str, torch.Tensor]:
    """What the renderer is asked for: logits like a picture's, and the layers' answers too (Wang and others, "pix2pixHD",
    2018, feature matching: textures like the true ones, which no pixel loss sees)."""
    made = critic.features(fake, rasters)
    with torch.no_grad():
        true = critic.features(real, rasters)
    matched = sum((a - b).abs().mean() for a, b in zip(made[:-1], true[:-1], strict=True))
    return {"critic": -made[-1].float().mean(), "matching": matched.float()}
