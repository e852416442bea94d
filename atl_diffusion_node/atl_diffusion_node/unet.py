"""The renderer's network in torch: a small temporal U-Net and its identity encoder. For training, export and CUDA.

Built for two CPU cores: works on 2x2-unshuffled pixels (a view of 128 px is 64 px wide inside), no normalisation layers (a
dozen frames of a few faces make bad batch statistics), additive skips. Time is causal: at
three levels an eighth of the channels comes from the frame before (Lin, Gan, Han, "TSM: Temporal Shift Module", 2019), so
a stream keeps three small tensors as its memory, and four frames are the whole temporal field of view: nothing can drift.

The landmarks say nothing of hair, ears and neck, so the warp carries their edges only nearly to where they go. Before anything is
repainted, a residual flow moves them on (as the dense motion does in Siarohin et al., "First Order Motion Model", 2019). The
mouth's view has none: an unfinished training with one was less sharp (model card), which isn't the last word on it.
"""
import torch
import torch.nn.functional as F
from torch import nn

from atl_diffusion_node.runtime import MEMORY_CHANNELS

CHANNELS = (32, 64, 96, 128)  # by level; what one evaluation takes is in docs/results.md (network)
GUIDE_CHANNELS = 5  # three rasters, the mask M, the time s
SLOPE = 0.1  # of LeakyReLU below zero
PIXEL_CHANNELS = 12  # RGB of 2 x 2 pixels
FLOW_SCALE = 4  # the flow's pixels are so many of the picture's wide: heads and lips move as a whole
FLOW_FLOOR = 0.1  # px: smaller flows fade to nothing, or they would blur what stands still


def identity_shapes(height: int, width: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of the four identity features for pictures of height x width pixels."""
    return [(c, height >> (i + 1), width >> (i + 1)) for i, c in enumerate(CHANNELS)]


def moved(picture, flow):
    """Pixels (B, 3, H, W) taken from where the flow (B, 2, H/4, W/4) says, in their px, x then y: `warp.moved` in torch."""
    height, width = picture.shape[2:]
    flow = F.interpolate(flow.float(), scale_factor=FLOW_SCALE, mode="bilinear", align_corners=False)
    x = torch.arange(width, device=flow.device) + flow[:, 0] + 0.5
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1] + 0.5
    grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], -1)
    return F.grid_sample(picture.float(), grid, padding_mode="border", align_corners=False)


def conv(inside: int, outside: int) -> nn.Sequential:
    layer = nn.Conv2d(inside, outside, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, SLOPE)  # keeps the variance through the depth, so nothing has to normalise it
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.LeakyReLU(SLOPE, inplace=True))


class Encoder(nn.Module):
    """Four levels of two convolutions; `mix(level, h)` may change h between a level's two convolutions."""

    def __init__(self, inside: int):
        super().__init__()
        widths = (inside, *CHANNELS)
        self.first = nn.ModuleList(conv(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.second = nn.ModuleList(conv(c, c) for c in CHANNELS)

    def forward(self, h, mix=None):
        features = []
        for level, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            h = first(h if level == 0 else F.max_pool2d(h, 2))
            h = second(h if mix is None else mix(level, h))
            features.append(h)
        return features


class IdentityEncoder(nn.Module):
    """The portrait's features at every scale, computed once a portrait: (B, 3, H, W), (B, 3, H/2, W/2) -> 4 tensors."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder(PIXEL_CHANNELS + 3)

    def forward(self, portrait, portrait_rasters):
        return self.encoder(torch.cat([F.pixel_unshuffle(portrait, 2), portrait_rasters], 1))


class GuidedUNet(nn.Module):
    """Predicts the frame x_0 from the noised state, the warped portrait, the guides, the identity and a short memory."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder(2 * PIXEL_CHANNELS + GUIDE_CHANNELS)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(CHANNELS[:-1], CHANNELS[1:], strict=True))
        self.decoder = nn.ModuleList(nn.Sequential(conv(c, c), conv(c, c)) for c in CHANNELS[:-1])
        self.out = nn.Conv2d(CHANNELS[0], PIXEL_CHANNELS + 1, 3, padding=1)  # the change, and where it is made
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.flow = nn.Conv2d(CHANNELS[1], 2, 3, padding=1)
        nn.init.zeros_(self.flow.weight)  # below FLOW_FLOOR there is no slope: this is no flow, for good (see `begin_flow`)
        nn.init.zeros_(self.flow.bias)

    def begin_flow(self) -> None:
        """Give the flow weights to learn from."""
        nn.init.kaiming_normal_(self.flow.weight, SLOPE)
        with torch.no_grad():
            self.flow.weight.mul_(0.3)

    def forward(self, x_s, warped, guides, identity, memory):
        """
        Args:
            x_s, warped: (B, 3, H, W) in [-1, 1].
            guides: (B, 5, H/2, W/2): rasters in [0, 1], mask M, time s.
            identity: four tensors of `identity_shapes`; B may be 1.
            memory: three tensors (B, C, H, W) of `runtime.memory_shapes`: the frame before (zeros at a start); or an int T:
                the batch is made of clips of T consecutive frames, and memory flows inside each.

        Returns:
            the change blend * change (B, 3, H, W) and the flow (B, 2, H/4, W/4) px, so that
            x0_hat = moved(warped, flow) + change; and the three memory tensors for the next frame.
        """
        change, blend, flow, kept = self.parts(x_s, warped, guides, identity, memory)
        return blend * change, flow, kept

    def parts(self, x_s, warped, guides, identity, memory):
        """What `forward` is made of: the change (B, 3, H, W), the learned blending mask (B, 1, H, W) in [0, 1], flow, memory.

        Where the mask is near 0 the warped portrait's pixels stay as they are.
        """
        kept = []

        def mix(level, h):
            if level == 0:
                return 0.7 * (h + identity[0])
            k = MEMORY_CHANNELS[level - 1]  # one in eight is shifted: TSM's best trade in its table 5
            own = h[:, :k]
            kept.append(own)
            past = _shift(own, memory) if isinstance(memory, int) else memory[level - 1]
            return 0.7 * (torch.cat([past, h[:, k:]], 1) + identity[level])

        pixels = torch.cat([F.pixel_unshuffle(x_s, 2), F.pixel_unshuffle(warped, 2), guides], 1)
        skips = self.encoder(pixels, mix)
        h = skips[-1]
        for level in reversed(range(len(self.decoder))):
            up = F.interpolate(self.up[level](h), scale_factor=2.0, mode="nearest")
            h = self.decoder[level](0.7 * (up + skips[level]))  # 0.7: a sum of two keeps the variance of one
            if level == 1:
                flow = self.flow(h)
        made = self.out(h)
        blend = F.interpolate(made[:, -1:], scale_factor=2.0, mode="bilinear", align_corners=False)
        flow = flow * flow**2 / (flow**2 + FLOW_FLOOR**2)
        return F.pixel_shuffle(made[:, :-1], 2), blend.sigmoid(), flow, kept


def _shift(h, frames: int):
    """(B * T, C, H, W) one frame later inside each clip of T; the first frame of a clip remembers nothing."""
    clips = h.unflatten(0, (-1, frames))
    return torch.cat([torch.zeros_like(clips[:, :1]), clips[:, :-1]], 1).flatten(0, 1)
