"""The exported graphs compute what the torch networks compute, clip-wise and streaming (needs torch: training's extra)."""
import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the CPU runtime does not need it")
pytest.importorskip("safetensors", reason="safetensors is not installed: the CPU runtime does not need it")

from safetensors.torch import load_file  # noqa: E402

from atl_diffusion_node.runtime import DATA, WINDOW, OpenVinoRuntime  # noqa: E402
from atl_diffusion_node.unet import GuidedUNet, IdentityEncoder  # noqa: E402
from atl_diffusion_node.unet import moved as torch_moved  # noqa: E402
from atl_diffusion_node.warp import moved  # noqa: E402


@pytest.fixture(scope="module")
def nets():
    weights = load_file(str(DATA / "face" / "renderer.safetensors"))
    out = []
    for prefix, net in (("identity.", IdentityEncoder()), ("unet.", GuidedUNet())):
        net.load_state_dict({k[len(prefix):]: v for k, v in weights.items() if k.startswith(prefix)})
        out.append(net.eval())
    return out


def test_streaming_openvino_equals_clipwise_torch(nets):
    rng, frames, half = np.random.default_rng(0), 4, [side // 2 for side in WINDOW]
    x, warped = (rng.uniform(-1, 1, (frames, 3, *WINDOW)).astype(np.float32) for _ in range(2))
    guides = rng.uniform(0, 1, (frames, 5, *half)).astype(np.float32)
    lines = rng.uniform(0, 1, (1, 3, *half)).astype(np.float32)
    with torch.inference_mode():
        features = nets[0](torch.from_numpy(warped[:1]), torch.from_numpy(lines))
        clip = nets[1](torch.from_numpy(x), torch.from_numpy(warped), torch.from_numpy(guides), features, frames)[:2]
    runtime = OpenVinoRuntime(threads=2, precision="f32")
    features, memory = runtime.identity(warped[:1], lines), None
    for k in range(frames):
        *made, memory = runtime.step(x[k: k + 1], warped[k: k + 1], guides[k: k + 1], features, memory)
        for ours, theirs in zip(made, clip, strict=True):
            assert np.abs(ours - theirs[k: k + 1].numpy()).max() < 5e-3


def test_torch_moves_pixels_as_the_renderer_does():
    rng = np.random.default_rng(1)
    picture = cv2.resize(rng.uniform(-1, 1, (12, 14, 3)).astype(np.float32), (112, 96))
    flow = rng.uniform(-9, 9, (24, 28, 2)).astype(np.float32)
    fine = cv2.resize(flow, (112, 96))
    theirs = torch_moved(*(torch.from_numpy(a.transpose(2, 0, 1)[None].copy()) for a in (picture, flow)))
    assert np.abs(moved(picture, fine) - theirs[0].permute(1, 2, 0).numpy()).max() < 0.01  # OpenCV counts in 32nds of a pixel
