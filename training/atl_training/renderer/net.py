"""Both networks of the renderer as one module, and what an ablation varies around them."""
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from atl_diffusion_node.bridge import between, start_state
from atl_diffusion_node.unet import GuidedUNet, IdentityEncoder, moved
from atl_diffusion_node.views import VIEWS
from atl_training.renderer.batches import Batch

START_SHARE = 0.6  # of the segments are trained at s = 1, where every frame starts; the rest anywhere on the bridge
OWN_SHARE = 0.5  # of the steps bridge from the network's own answer at s = 1, which is what a second evaluation really sees
NOISES = "guided", "uniform", "none"


@dataclass(frozen=True)
class Variation:
    """What is trained; the defaults are what ships, the rest are the arms of the ablation.

    Attributes:
        noise: of the start state: shaped by the landmarks' mask, as strong everywhere, or absent.
        warp: whether the portrait is carried to the landmarks; else the network starts from it as it is.
        rasters: whether the network sees the landmark lines; else the noise alone tells it where to draw (the paper's way).
        pooled: each level's identity is one vector, the mean of its feature map.
        flow: whether a residual flow moves the warped portrait first; the mouth's view has none (`unet.py`).
        start_share: of the segments are trained at s = 1; with all of them, only one evaluation is taught.
        own_share: of the steps bridge from the network's own answer; with none, from the truth alone, as plain bridges do.
    """

    noise: str = "guided"
    warp: bool = True
    rasters: bool = True
    pooled: bool = False
    flow: bool = True
    start_share: float = START_SHARE
    own_share: float = OWN_SHARE

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Variation":
        """What options of `renderer.train`, by their names, ask for."""
        flow = not (asked["no_flow"] or VIEWS[asked["view"]].fine)
        return cls(asked["noise"], not asked["no_warp"], not asked["no_rasters"], asked["pooled"], flow, asked["start_share"],
                   asked["own_share"])  # fmt: skip

    def apply(self, batch: Batch) -> Batch:
        """The batch as this arm sees it."""
        mask = batch.mask
        if self.noise == "none":
            mask = torch.zeros_like(mask)
        elif self.noise == "uniform":  # of the guided noise's power
            mask = (mask**2).mean((1, 2, 3), keepdim=True).sqrt().expand_as(mask)
        warped = batch.warped if self.warp else batch.portrait.repeat_interleave(batch.frames, 0)
        return replace(batch, mask=mask, warped=warped)


@dataclass
class Answer:
    """What the networks make of B T frames.

    Attributes:
        whole: (B T, 3, H, W) with all of the change. blended: with what the mask takes of it. base: the warped portrait, moved by
            the flow. flow: (B T, 2, H/4, W/4) px.
    """

    whole: torch.Tensor
    blended: torch.Tensor
    base: torch.Tensor
    flow: torch.Tensor


class Renderer(nn.Module):
    """Both networks, named as the runtime's weights file names them."""

    def __init__(self, variation: Variation = Variation()):  # noqa: B008 (frozen)
        super().__init__()
        self.variation = variation
        self.identity = IdentityEncoder()
        self.unet = GuidedUNet()
        if variation.flow:
            self.unet.begin_flow()

    def forward(self, batch: Batch, x_s, s):
        """For B segments of T frames, s (B T, 1, 1, 1): `Answer`, whose x0_hat is `blended`.

        The blending mask learns from the second picture, and the change and the flow from the first alone: a mask that closed
        before the change behind it was learned would stay closed.
        """
        features = self.identity(batch.portrait, batch.portrait_rasters)
        if self.variation.pooled:
            features = [f.mean((2, 3), keepdim=True).expand_as(f) for f in features]
        features = [f.repeat_interleave(batch.frames, 0) for f in features]
        half = F.avg_pool2d(batch.mask, 2)
        lines = batch.rasters if self.variation.rasters else torch.zeros_like(batch.rasters)
        guides = torch.cat([lines, half, s.expand(-1, 1, *half.shape[2:])], 1)
        change, blend, flow, _ = self.unet.parts(x_s, batch.warped, guides, features, batch.frames)
        base, change = moved(batch.warped, flow), change.float()
        return Answer(base + change, base.detach() + blend.float() * change.detach(), base.detach(), flow.float())


def start(batch: Batch, generator: torch.Generator):
    """x_1 of every frame: one noise for all frames of a segment, as at run time. The generator is the CPU's, so that the noise is
    the same wherever the batch is."""
    noise = torch.randn(len(batch.portrait), *batch.target.shape[1:], generator=generator)
    noise = noise.to(batch.warped.device, non_blocking=True)
    return start_state(batch.warped, batch.mask, noise.repeat_interleave(batch.frames, 0))


def states(net: Renderer, batch: Batch, generator: torch.Generator):
    """x_s and s (B T, 1, 1, 1) to train at: a time for each segment. The generator is the CPU's, as `start`'s."""
    x_1, count = start(batch, generator), len(batch.portrait)
    at_start = torch.rand(count, generator=generator) < net.variation.start_share
    s = torch.where(at_start, torch.ones(()), torch.rand(count, generator=generator))
    own = torch.rand((), generator=generator) < net.variation.own_share and (s < 1).any()  # the CPU's: nothing waits
    s = s.repeat_interleave(batch.frames).view(-1, 1, 1, 1).to(x_1.device, non_blocking=True)
    x_0 = batch.target
    if own:
        with torch.no_grad():
            x_0 = net(batch, x_1, torch.ones_like(s)).blended
    return between(x_0, x_1, s), s
