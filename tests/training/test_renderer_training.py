"""Training of the renderer: it learns, it goes on after a stop, processes share it, and its arms differ in what they say."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from safetensors.torch import load_file, save_file  # noqa: E402

from atl_diffusion_node.runtime import DATA  # noqa: E402
from atl_diffusion_node.views import FACE, VIEWS  # noqa: E402
from atl_diffusion_node.views import MOUTH as MOUTH_VIEW  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_face.topology import MOUTH  # noqa: E402
from atl_training.renderer import losses  # noqa: E402
from atl_training.renderer.batches import Segments  # noqa: E402
from atl_training.renderer.critic import PatchCritic, hinge, persuade  # noqa: E402
from atl_training.renderer.judge import drawn, validate  # noqa: E402
from atl_training.renderer.net import Answer, Renderer, Variation, start, states  # noqa: E402
from atl_training.renderer.pack import ARRAYS  # noqa: E402
from atl_training.weights import load_weights  # noqa: E402

MODULE = "-m", "atl_training.renderer.train"


@pytest.fixture(scope="module")
def held(packed) -> Segments:
    return Segments([packed / "val"])


@pytest.fixture(scope="module")
def shipped() -> Renderer:
    net = Renderer()
    net.load_state_dict(load_file(str(DATA / "face" / "renderer.safetensors")))
    return net.eval()


def command(packed: Path, out: Path, *options: str, launcher: tuple = (), program: tuple = MODULE) -> list:
    return [sys.executable, *launcher, *program, "--data", packed, "--out", out, "--threads", "1", "--view", "face", *options]


def train(*arguments, **how) -> None:
    subprocess.run(command(*arguments, **how), check=True, capture_output=True, timeout=280)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_is_cut_from_every_picture_alike(held, view):
    batch = held.batch([0, 0], view, np.random.default_rng(0), frames=2)
    height, width = view.shape
    assert batch.target.shape == batch.warped.shape == (4, 3, height, width) and batch.mask.shape == (4, 1, height, width)
    assert batch.rasters.shape == (4, 3, height // 2, width // 2) and batch.portrait.shape == (2, 3, height, width)
    assert batch.frames == 2 and batch.fine == view.fine
    plain = held.batch([0], view, None)
    assert plain.target.abs().max() <= 1 and (plain.target - plain.warped).abs().mean() < 0.05, "the same place in both"
    flips = [held.batch([0], view, np.random.default_rng(seed), frames=1) for seed in range(8)]
    lines = plain.rasters[0]
    assert {(torch.equal(f.rasters[0], lines), torch.equal(f.rasters[0], lines.flip(-1))) for f in flips} == {
        (True, False), (False, True)}, "mirrored now and then, lines and all"  # fmt: skip


def test_arms_take_away_what_they_say(held, shipped):
    batch = held.batch([0], FACE, None)
    generator = torch.Generator().manual_seed(0)
    guided, uniform, none = (Variation(noise=n).apply(batch) for n in ("guided", "uniform", "none"))
    assert torch.equal(guided.mask, batch.mask) and guided.mask.std() > 0.05
    assert uniform.mask.flatten(1).std(1).max() < 1e-6
    assert torch.allclose((uniform.mask**2).mean((1, 2, 3)), (batch.mask**2).mean((1, 2, 3)), rtol=1e-3)
    assert torch.equal(start(none, generator), none.warped)
    still = Variation(warp=False).apply(batch).warped
    assert all(torch.equal(frame, batch.portrait[0]) for frame in still)
    x, s = states(shipped, batch, generator)
    with torch.inference_mode():
        usual = shipped(batch, x, s).whole
        for change in (Variation(pooled=True), Variation(rasters=False)):
            other = Renderer(change)
            other.load_state_dict(shipped.state_dict())
            assert (other.eval()(batch, x, s).whole - usual).abs().max() > 0.05
    assert not Renderer(Variation(flow=False)).unet.flow.weight.any() and Renderer().unet.flow.weight.any()


def test_arms_vary_the_process_as_they_say(packed, held, shipped):
    batch = held.batch([0, 0, 0, 0], FACE, None, 1)
    alike = Segments([packed / "val"], mouth_weight=1).batch([0, 0, 0, 0], FACE, None, 1)
    assert torch.equal(alike.target, batch.target)
    assert alike.mask.mean() > 1.1 * batch.mask.mean(), "the rest of the face weighs more beside a lighter mouth"

    def at(seed: int, variation: Variation) -> tuple:
        net = SimpleNamespace(variation=variation)  # states asks it for nothing else where it doesn't begin from its own answer
        return states(net, batch, torch.Generator().manual_seed(seed))

    for seed in range(5):
        x_s, s = at(seed, Variation(start_share=1))
        assert (s == 1).all() and torch.equal(x_s, start(batch, torch.Generator().manual_seed(seed)))
        x_s, s = at(seed, Variation(start_share=0, own_share=0))
        x_1 = start(batch, torch.Generator().manual_seed(seed))
        assert (s < 1).all() and torch.allclose(x_s, (1 - s) * batch.target + s * x_1, atol=1e-6)


def test_a_seed_makes_the_same_weights(packed, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        train(packed, tmp_path / name, "--steps", "2", "--seed", seed)
    a, b, c = (load_file(tmp_path / name / "renderer.safetensors") for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a) and any(not torch.equal(a[key], c[key]) for key in a)


def test_the_losses_see_what_they_are_for(held):
    batch = held.batch([0], FACE, None)
    same = replace(batch, warped=batch.target)

    def parts_of(made, batch, flow=0.0):
        return losses.reconstruction(Answer(made, made, batch.warped, torch.full((1, 2, 4, 4), flow)), batch)

    assert sum(parts_of(batch.target, same).values()) == 0
    assert sum(parts_of(batch.target, same, 2.0).values()) == pytest.approx(2 * losses.FLOW_LOSS), "two pixels of flow"
    mouth, cheek = batch.target.clone(), batch.target.clone()
    y, x = np.unravel_index(batch.rasters[0, 0].argmax(), (64, 64))
    mouth[..., 2 * y - 3:2 * y + 3, 2 * x - 3:2 * x + 3] += 0.2
    cheek[..., 2 * y - 33:2 * y - 27, 2 * x - 33:2 * x - 27] += 0.2
    parts = [parts_of(made, batch) for made in (mouth, cheek)]
    assert parts[0]["pixel"] > 1.5 * parts[1]["pixel"] > 0 and parts[0]["change"] < 1e-6, "wrong, but steadily so"
    flickers = cheek.clone()
    flickers[::2] = batch.target[::2]
    assert parts_of(flickers, batch)["change"] > 0
    needless = parts_of(batch.target, replace(batch, warped=batch.target + 0.1))
    assert needless["blend"] == pytest.approx(losses.BLEND_LOSS), "every pixel was changed"


def test_a_critic_learns_to_tell_and_is_persuaded_by_the_truth(held):
    torch.manual_seed(0)
    batch = held.batch([0], MOUTH_VIEW, None)
    real, lines = batch.target, batch.rasters
    fake = torch.nn.functional.avg_pool2d(real, 5, 1, 2)
    critic = PatchCritic()
    optimiser = torch.optim.AdamW(critic.parameters(), 2e-3)
    before = hinge(critic, real, fake, lines).item()
    for _ in range(30):
        loss = hinge(critic, real, fake, lines)
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    assert loss.item() < 0.7 * before
    true, blurred = persuade(critic, real, real, lines), persuade(critic, real, fake, lines)
    assert true["matching"] == 0 < blurred["matching"] and true["critic"] < blurred["critic"]


def test_more_evaluations_are_walked_from_the_same_start(held, shipped):
    batch = held.batch([0], FACE, None)
    with torch.inference_mode():
        one, two, again = (drawn(shipped, batch, steps) for steps in (1, 2, 2))
    assert torch.equal(two, again) and 0 < (one - two).abs().mean() < 0.05
    figures = validate(shipped, held, FACE, 1)
    assert figures["still_mouth_db"] < figures["net_mouth_db"] and 0 < figures["changed"] < 1


def test_it_learns_goes_on_and_refuses_other_settings(packed, tmp_path, held, shipped):
    begin = str(DATA / "face" / "renderer.safetensors")
    run, options = tmp_path / "run", ("--steps", "30", "--every", "15", "--begin", begin)
    with subprocess.Popen(command(packed, run, *options), stderr=subprocess.DEVNULL) as process:
        while not (run / "last.pt").exists() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL and torch.load(run / "last.pt")["step"] == 15
    train(packed, run, *options)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["step"] == 30 and metrics[f"{packed.name}, face"]["warp_mouth_db"] > 0
    assert torch.load(run / "last.pt")["schedule"]["last_epoch"] == 30
    state = torch.load(run / "last.pt")
    net = Renderer()
    net.load_state_dict(state["net"])
    before, after = (validate(n, held, FACE, 1)["net_mouth_db"] for n in (shipped, net))
    assert after > before + 0.5, "red throats"
    assert list((run / "log").iterdir())

    other = subprocess.run(command(packed, run, "--steps", "40"), capture_output=True, text=True, check=False, timeout=280)
    assert other.returncode == 2 and "other settings" in other.stderr and "Traceback" not in other.stderr
    train(packed, tmp_path / "next", "--steps", "1", "--begin", str(run / "renderer.safetensors"))
    first, second = (load_file(f / "renderer.safetensors") for f in (run, tmp_path / "next"))
    assert max((first[name] - second[name]).abs().max() for name in first) < 1e-3


def test_a_beginning_that_is_no_whole_network_is_refused(packed, tmp_path):
    part = load_file(str(DATA / "face" / "renderer.safetensors"))
    del part["unet.flow.weight"]
    save_file(part, tmp_path / "part.safetensors")
    asked = command(packed, tmp_path / "run", "--steps", "1", "--begin", tmp_path / "part.safetensors")
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=280)
    assert told.returncode == 2 and "part.safetensors holds another network" in told.stderr and "Traceback" not in told.stderr
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="no file of weights"):
        load_weights(Renderer(), tmp_path / "text.safetensors")


def test_two_processes_train_one_network(packed, tmp_path):
    """Gloo, over the loopback: other batches in each, and the same weights in both."""
    script = tmp_path / "worker.py"
    script.write_text("""
import os
import torch
from atl_training.renderer import train

made, seen = [], []
class Kept(train.Training):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        made.append(self)

    def __call__(self, batch, *rest):
        seen.append(batch.target.mean())
        return super().__call__(batch, *rest)

train.Training = Kept
train.main()
torch.save({"net": made[0].net.state_dict(), "critic": made[0].critic.state_dict(), "seen": seen}, __file__ + os.environ["RANK"])
""")
    torchrun = "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"
    train(packed, tmp_path / "two", "--steps", "8", "--view", "mouth", launcher=torchrun, program=(script,))
    first, second = (torch.load(f"{script}{rank}") for rank in range(2))
    for part in ("net", "critic"):
        assert all(torch.equal(value, second[part][name]) for name, value in first[part].items())
    assert first["seen"] != second["seen"]


def test_packs_hold_what_is_said(packed):
    arrays = {name: np.load(packed / "train" / f"{name}.npy") for name in ARRAYS}
    assert {name: (a.shape[1:], a.dtype) for name, a in arrays.items()} == {n: (s, np.dtype(k)) for n, (s, k) in ARRAYS.items()}
    moved = arrays["points"][0, :, MOUTH]
    assert np.ptp(moved[..., 1]) > 0.02
