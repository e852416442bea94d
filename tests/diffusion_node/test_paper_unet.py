"""The paper's size, which speed is read against (needs torch: training's environment)."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: only `atl bench --reference` and training need it")

from atl_diffusion_node.paper_unet import FRAMES, SIDE, STEPS, PaperUNet, cost, example  # noqa: E402


def test_it_has_the_papers_size():
    params, gflop = cost()  # the published code: 47.8 M, 250 GFLOP a frame
    assert 40 < params < 55 and 214 < gflop < 300
    assert (FRAMES, SIDE, STEPS) == (32, 128, 8)


def test_every_input_reaches_the_frame_that_comes_out():
    torch.manual_seed(0)
    net, (x, t, emotion, identity) = PaperUNet().eval(), example(frames=8, side=16)
    with torch.inference_mode():
        out = net(x, t, emotion, identity)
        others = net(x, t / 2, emotion, identity), net(x, t, emotion + 1, identity), net(x, t, emotion, -identity)
        x[:, :, 0] += 1
        others += (net(x, t, emotion, identity)[:, :, -1:],)  # attention at the bottom carries it to the last frame
    assert out.shape == x.shape
    for other in others:
        assert (other - out[:, :, -other.shape[2] :]).abs().max() > 1e-4
