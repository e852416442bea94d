"""The diffusion process: a bridge from the noised, warped portrait to the frame, walked in a few steps.

ATL-Diff starts from x_T = I + M * eps (section 3.2): the portrait with noise where the landmarks are. Two changes:
the portrait is first warped to the landmarks, W = warp(I), and the path from start to frame is a straight bridge,

    x_1 = W + M * eps,                eps ~ N(0, 1), kept from frame to frame (else the noise flickers)
    x_s = (1 - s) * x_0 + s * x_1,    s in [0, 1]: the noise's covariance is M^2 s^2, largest at the mouth

so that s = 1 is the start and s = 0 the frame. The network predicts x_0 from x_s (as a change of W, which a residual flow has
moved on before: x0_hat = moved(W, flow) + change, see `unet.py`), and not the noise: x_0 = (x_s - s x_1) / (1 - s) is 0 / 0 at
s = 1, where one evaluation begins. A step from s to t < s: given x_0, x_s tells x_1 = (x_s - (1 - s) x_0) / s, and
between(x_0, x_1, t) of that is

    x_t = (t / s) * x_s + (1 - t / s) * x0_hat

which keeps the noise that is left: the deterministic step (DDIM's, Song, Meng, Ermon 2021, section 4.1) of this bridge. Where
x0_hat is right, any number of steps ends in the same frame: the path is straight, so one may do. It is a residual shift (Yue,
Wang, Loy, "ResShift", NeurIPS 2023, section 3.1, where the shift is from a picture to a worse one) whose noise has a place.

Training minimises E d(x_0, x0_hat(x_s, s)) for d of `atl_training.renderer.losses`, at s = 1 in most segments (the only time
that one evaluation sees) and at s ~ U(0, 1) in the others. What a second evaluation is given at run time isn't between(x_0,
x_1, s) of the true frame but of the network's own first answer; half of these steps are begun from that
(`atl_training.renderer.net.states`), so that it learns to mend its own errors. What that is worth, and that further
evaluations gain next to nothing: docs/results.md, the ablation.
"""
import numpy as np


def start_state(warped, mask, noise):
    """x_1 = W + M * eps; arrays or tensors in [-1, 1] that broadcast, channels anywhere."""
    return warped + mask * noise


def between(x_0, x_1, s):
    """x_s on the straight bridge; what training noises its targets with."""
    return (1 - s) * x_0 + s * x_1


def schedule(steps: int) -> np.ndarray:
    """Times s of the network evaluations, equally spaced from 1, with the final 0: (steps + 1,)."""
    return np.linspace(1.0, 0.0, steps + 1)


def sample(predict, x_1, steps: int):
    """Walk the bridge with `steps` network evaluations.

    Args:
        predict: (x_s, s, index) -> x0_hat; `index` counts the evaluations of this frame, from 0.
        x_1: the start state.
    """
    times = schedule(steps)
    x = x_1
    for index, (s, t) in enumerate(zip(times[:-1], times[1:], strict=True)):
        x_0 = predict(x, float(s), index)
        x = x_0 if t == 0 else float(t / s) * x + float(1 - t / s) * x_0
    return x
