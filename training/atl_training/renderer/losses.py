"""What a drawn frame is measured by in training."""
import torch
import torch.nn.functional as F

from atl_training.renderer.batches import Batch
from atl_training.renderer.net import Answer

MOUTH_LOSS = {True: 8.0, False: 1.0}
"""Extra weight of pixels between and on the lips: large in the mouth's view, whose task they are; small in the face's, over whose
mouth that one is laid."""
SQUARE_LOSS = 4.0  # beside L1: at an error of an eighth of the range both pull alike, so large errors weigh more
CHANGE_LOSS = 0.5  # from frame to frame
VISIBLE = 4 / 127.5  # a change of four grey levels counts as one
BLEND_LOSS = 0.002  # for the share of changed pixels: what need not change doesn't; a change must win a quarter of a grey level


def edges(a, b, weight):
    """Difference of the horizontal and vertical gradients of two pictures, weighted by place."""
    across = ((a.diff(dim=-1) - b.diff(dim=-1)).abs() * weight[..., 1:]).mean()
    return across + ((a.diff(dim=-2) - b.diff(dim=-2)).abs() * weight[..., 1:, :]).mean()


FLOW_LOSS = 0.001  # of a pixel of flow: what need not move doesn't


def reconstruction(made: Answer, batch: Batch) -> dict[str, torch.Tensor]:
    """The parts of the loss, by name: pixels and gradients at two scales with the mouth weighted, steadiness, and blending."""
    answer = made.whole
    lips = F.interpolate(batch.rasters[:, :2].amax(1, keepdim=True), scale_factor=2.0, mode="nearest")
    weight = 1 + MOUTH_LOSS[batch.fine] * F.max_pool2d(lips, 5, 1, 2)
    error = answer - batch.target
    changed = (made.blended - made.base).abs().amax(1).clamp(max=VISIBLE).mean() / VISIBLE
    halves = [F.avg_pool2d(t, 2) for t in (answer, batch.target, weight)]
    parts = {
        "pixel": ((error.abs() + SQUARE_LOSS * error**2) * weight).mean(),
        "edge": edges(answer, batch.target, weight) + edges(*halves),
        "blend": ((made.blended - batch.target).abs() * weight).mean() + BLEND_LOSS * changed,
        "flow": FLOW_LOSS * made.flow.abs().mean(),
    }
    if batch.frames > 1:
        ours, true = (t.unflatten(0, (-1, batch.frames)).diff(dim=1) for t in (answer, batch.target))
        parts["change"] = CHANGE_LOSS * (ours - true).abs().mean()
    return parts

