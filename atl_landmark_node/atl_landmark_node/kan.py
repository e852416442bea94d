"""Kolmogorov-Arnold layers: every edge has a learnt function of its own, a cubic B-spline beside a SiLU.

Liu et al., "KAN: Kolmogorov-Arnold Networks" (2024), section 2.2, with a bias b of ours:
y_o = b_o + sum_i [base_oi SiLU(x_i) + sum_j spline_oij B_j(x_i)].
All splines share one uniform grid, so that a layer is two matrix products, over SiLU(x) and over the basis B(x).
"""
import torch
import torch.nn.functional as F
from torch import nn

GRID, ORDER = 5, 3  # intervals and degree of the splines, as the paper has them
LOW, HIGH = -1.0, 1.0  # the grid's range; `Kan` squashes what goes into a layer into it
BASES = GRID + ORDER  # B-splines that are not zero everywhere in the grid's range
ROWS = 256  # rows whose basis is worked on at once: with 512 inputs 4 MB, which stays in the cache
INITIAL_NOISE = 0.1  # standard deviation of a fresh spline's values: small beside the base's, as in the paper


class _Basis(torch.autograd.Function):
    """The basis with its derivative written out: autograd through `_basis` takes three times as long."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return _basis(x)

    @staticmethod
    def backward(ctx, grad):
        offset = _offsets(ctx.saved_tensors[0])
        far = (2 - offset.abs()).clamp_(0)
        near = (1 - offset.abs()).clamp_(0)
        slope = far.square_().mul_(-0.5).add_(near.square_(), alpha=2).mul_(offset.sign_())
        return slope.mul_(grad).sum(-1) * (GRID / (HIGH - LOW))


def _offsets(x):
    """How many grid steps `x` (...) lies right of the centre of each basis function, (..., BASES)."""
    centres = torch.arange(BASES, dtype=x.dtype, device=x.device) - (ORDER - 1) / 2
    return ((x - LOW) * (GRID / (HIGH - LOW))).unsqueeze(-1) - centres


def _basis(x):
    """The cubic cardinal B-spline (Schoenberg 1946) in powers of max(0, .): ((2 - |t|)^3 - 4 (1 - |t|)^3) / 6."""
    distance = _offsets(x).abs()
    far, near = (2 - distance).clamp(min=0), (1 - distance).clamp(min=0)
    return (far * far * far - 4 * near * near * near) / 6


def basis(x):
    """Values (..., BASES) of the grid's B-splines at `x` (...); they add up to 1 in [LOW, HIGH], and to 0 far outside."""
    return _Basis.apply(x) if torch.is_grad_enabled() else _basis(x)


class KanLayer(nn.Module):
    """(..., inputs) -> (..., outputs); `inputs` belong into [LOW, HIGH]: beyond the grid only the SiLU goes on."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.base = nn.Linear(inputs, outputs)
        self.spline = nn.Linear(inputs * BASES, outputs, bias=False)
        nn.init.normal_(self.base.weight, std=2 / inputs**0.5)  # SiLU halves what is small
        nn.init.normal_(self.spline.weight, std=INITIAL_NOISE / inputs**0.5)

    def forward(self, x):
        if torch.jit.is_tracing():  # for export, where a split would fix the number of rows
            return self.base(F.silu(x)) + self.spline(basis(x).flatten(-2))
        rows = x.flatten(0, -2).split(ROWS)
        curved = torch.cat([self.spline(basis(some.float()).flatten(-2)) for some in rows])  # bf16 has 1/32 of a grid step
        return self.base(F.silu(x)) + curved.unflatten(0, x.shape[:-1])


class Kan(nn.Module):
    """Layers of the given widths; what enters each is squashed by tanh, so that it lies in the grid's range."""

    def __init__(self, *widths: int):
        super().__init__()
        self.layers = nn.ModuleList(KanLayer(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))

    def forward(self, x):
        for layer in self.layers:
            x = layer(torch.tanh(x))
        return x
