"""A plain 3D U-Net of the shape that ATL-Diff's renderer has, with random weights: what `atl bench --reference` measures.

It has the paper's shape and nothing of its code (arXiv 2507.12804): channels 32, 64, 128, 256, clips of 32 frames at 128 x 128
px, the start states with landmark-guided noise as input, the emotion as a class embedding next to the timestep, a ResNet-50
feature of the portrait at the bottleneck, 8 DDIM steps. What the paper leaves open is chosen so that parameters and operations
(`cost`) come near the published code's, 47.8 M and 250 GFLOP a frame: two residual blocks a level on the way down and three on
the way up, as in DDPM's U-Net (Ho, Jain, Abbeel 2020), every level at half the rate of the one before in time as in space, and
attention at the last level alone (8192 tokens a level earlier would cost more than the convolutions). As it is made it draws
nothing; atl_training.renderer.paper trains it.
"""

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = (32, 64, 128, 256)
FRAMES, SIDE, STEPS = 32, 128, 8  # of a clip, px, evaluations that draw it
EMOTIONS = 8  # MEAD's
IDENTITY = 2048  # ResNet-50's pooled feature
WIDER = 4  # times the first level's channels is the embedding of time and emotion together, as in DDPM
GROUPS, HEADS = 8, 4
DOWN_BLOCKS, UP_BLOCKS = 2, 3  # residual blocks a level


def time_features(t, width: int):
    """Sines and cosines of the timestep: (B,) -> (B, width)."""
    angles = t[:, None] * torch.exp(torch.arange(width // 2, device=t.device) * (-9.21 / (width // 2)))  # to 1 / 10000
    return torch.cat([angles.sin(), angles.cos()], 1)


class Block(nn.Module):
    """A residual block: two 3x3x3 convolutions on normalised input, time and emotion added between them."""

    def __init__(self, inside: int, outside: int, embedding: int):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, inside), nn.SiLU(), nn.Conv3d(inside, outside, 3, padding=1))
        self.second = nn.Sequential(nn.GroupNorm(GROUPS, outside), nn.SiLU(), nn.Conv3d(outside, outside, 3, padding=1))
        self.embedding = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outside))
        self.skip = nn.Conv3d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, h, embedding):
        added = self.embedding(embedding)[:, :, None, None, None]
        return self.skip(h) + self.second(self.first(h) + added)


class Attention(nn.Module):
    """Self-attention over space and time together."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, h):
        tokens = self.norm(h).flatten(2).transpose(1, 2)
        qkv = self.qkv(tokens).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return h + self.out(mixed.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(h.shape)


class Level(nn.Module):
    """Residual blocks, each followed by attention where there is any."""

    def __init__(self, widths: list[tuple[int, int]], embedding: int, attends: bool):
        super().__init__()
        self.blocks = nn.ModuleList(Block(*width, embedding) for width in widths)
        self.attention = nn.ModuleList(Attention(width[1]) if attends else nn.Identity() for width in widths)


class PaperUNet(nn.Module):
    """Predicts a clip's noise, or whatever else a process asks of it (`atl_training.renderer.paper`: its velocity).

    Args:
        levels: channels of each, growing multiples of GROUPS.
    """

    def __init__(self, levels: tuple[int, ...] = CHANNELS):
        super().__init__()
        at, bottom, embedding = levels[0], levels[-1], WIDER * levels[0]
        self.time = nn.Sequential(nn.Linear(at, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.emotion = nn.Embedding(EMOTIONS, embedding)
        self.identity = nn.Linear(IDENTITY, bottom)
        self.first = nn.Conv3d(3, at, 3, padding=1)
        self.down, self.up, skips = nn.ModuleList(), nn.ModuleList(), [at]
        for channels in levels:
            widths = [(at if k == 0 else channels, channels) for k in range(DOWN_BLOCKS)]
            self.down.append(Level(widths, embedding, channels == bottom))
            skips += [channels] * (DOWN_BLOCKS + (channels != bottom))
            at = channels
        self.smaller = nn.ModuleList(nn.Conv3d(c, c, 3, 2, 1) for c in levels[:-1])
        self.middle = nn.ModuleList([Block(at, at, embedding), Attention(at), Block(at, at, embedding)])
        for channels in reversed(levels):
            widths = [((at if k == 0 else channels) + skips.pop(), channels) for k in range(UP_BLOCKS)]
            self.up.append(Level(widths, embedding, channels == bottom))
            at = channels
        self.larger = nn.ModuleList(nn.Conv3d(c, c, 3, padding=1) for c in reversed(levels[1:]))
        self.last = nn.Sequential(nn.GroupNorm(GROUPS, at), nn.SiLU(), nn.Conv3d(at, 3, 3, padding=1))

    def forward(self, x, t, emotion, identity):
        """
        Args:
            x: (B, 3, T, H, W) in [-1, 1], noised where the landmarks are; T, H and W multiples of 8 (with four levels).
            t: (B,) float timesteps.
            emotion: (B,) int64, below EMOTIONS.
            identity: (B, IDENTITY).

        Returns:
            The noise in x (or what else it is trained for), of its shape.
        """
        embedding = self.time(time_features(t, self.first.out_channels)) + self.emotion(emotion)
        h = self.first(x)
        kept = [h]
        for k, level in enumerate(self.down):
            for block, attention in zip(level.blocks, level.attention, strict=True):
                h = attention(block(h, embedding))
                kept.append(h)
            if k < len(self.smaller):
                h = self.smaller[k](h)
                kept.append(h)
        h = h + self.identity(identity)[:, :, None, None, None]
        h = self.middle[2](self.middle[1](self.middle[0](h, embedding)), embedding)
        for k, level in enumerate(self.up):
            for block, attention in zip(level.blocks, level.attention, strict=True):
                h = attention(block(torch.cat([h, kept.pop()], 1), embedding))
            if k < len(self.larger):
                h = self.larger[k](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.last(h)


def example(frames: int = FRAMES, side: int = SIDE, device: str = "cpu") -> tuple[torch.Tensor, ...]:
    """Inputs of one evaluation for a clip."""
    return (torch.randn(1, 3, frames, side, side, device=device), torch.full((1,), 500.0, device=device),
            torch.ones(1, dtype=torch.int64, device=device), torch.randn(1, IDENTITY, device=device))  # fmt: skip


def cost(frames: int = FRAMES, side: int = SIDE) -> tuple[float, float]:
    """Parameters in millions, and GFLOP (2 x multiply-adds, torch's own counter) that one frame takes, all steps together."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):  # shapes alone: nothing is computed; and on a CPU the counter misses the attention
        net = PaperUNet().eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(*example(frames, side, "meta"))
    parameters = sum(p.numel() for p in net.parameters())
    return parameters / 1e6, counter.get_total_flops() / 1e9 * STEPS / frames
