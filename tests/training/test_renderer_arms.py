"""The ablation: each arm is trained as it says and judged, finished ones are kept, stopped ones go on, and the page tells it."""
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from renderer_arms_page import arms_section  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from atl_face.errors import UserError  # noqa: E402
from atl_training.renderer import arms  # noqa: E402
from atl_training.renderer.net import NOISES, Renderer, Variation  # noqa: E402
from atl_training.renderer.train import ASKED, add_arguments  # noqa: E402

PAPER = {"still_db": 30.0, "still_mouth_db": 27.0, "warp_db": 31.0, "warp_mouth_db": 29.0, "net_db": 30.5, "net_mouth_db": 28.25,
         "net_sharpness": 0.5, "ms_per_frame": 777.0, "hours": 1.0, "steps_trained": 60, "frames_trained": 480}  # fmt: skip


def asked(call: list[str]):
    """A training's arguments as renderer.train reads them."""
    parser = arms.argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(call[3:])


@pytest.fixture
def untrained(monkeypatch):
    """Trainings that end at once, with random weights; returns the list of their commands."""
    calls = []

    def ended(call: list[str], check: bool) -> SimpleNamespace:
        calls.append(call)
        a = asked(call)
        a.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(a.seed)
        net = Renderer(Variation(flow=False))  # with a flow its first answers aren't the warp's
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, a.out / "renderer.safetensors")
        told = {name: getattr(a, name) for name in ASKED if name not in ("data", "begin")}
        torch.save({"step": a.steps, "hours": 0.25, "arguments": told}, a.out / "last.pt")
        (a.out / "metrics.json").write_text(json.dumps({"step": 1} | {f"{pack.name}, {a.view}": {} for pack in a.data}))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(arms, "subprocess", SimpleNamespace(run=ended))
    return calls


def ablation(monkeypatch, packed, folder, *options: str) -> dict:
    there = ["--data", str(packed), "--out", str(folder / "out"), "--json", str(folder / "arms.json"), "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["arms", *there, *options])
    arms.main()
    return json.loads((folder / "arms.json").read_text())


def test_commands_differ_in_what_the_arms_say(packed, tmp_path):
    runs = {name: asked(arms.command([packed], tmp_path, 1200, options)) for name, options in arms.ARMS.items()}
    base = vars(runs.pop("base"))
    varied = {name: {key: value for key, value in vars(a).items() if value != base[key]} for name, a in runs.items()}
    assert varied == {
        "noise-uniform": {"noise": "uniform"}, "noise-none": {"noise": "none"}, "no-warp": {"no_warp": True},
        "no-rasters": {"no_rasters": True}, "noise-alone": {"no_warp": True, "no_rasters": True}, "pooled": {"pooled": True},
        "no-flow": {"no_flow": True}, "landmarks-alike": {"mouth_weight": 1}, "no-own": {"own_share": 0},
        "one-only": {"start_share": 1}}  # fmt: skip
    assert {a.noise for a in runs.values()} == set(NOISES)
    for a in runs.values():
        assert (a.steps, a.view, a.no_critic, a.seed, a.threads, a.bf16) == (1200, "face", True, 0, 1, True)
    assert asked(arms.command([packed], tmp_path, 1, ("--seed", "3"))).seed == 3
    mouths = {name: asked(arms.command([packed], tmp_path, 1, options)) for name, options in arms.MOUTH_ARMS.items()}
    assert {name: (a.view, a.no_critic) for name, a in mouths.items()} == {
        "mouth": ("mouth", False), "mouth-no-critic": ("mouth", True)}  # fmt: skip


def test_all_rows_are_in_the_file_and_on_the_page_and_what_is_done_is_kept(packed, tmp_path, monkeypatch, untrained, capsys):
    told = ablation(monkeypatch, packed, tmp_path, "--seeds", "2")
    assert list(told["arms"]) == [*arms.ARMS, "base-seed1"] and told["budget"]["frames"] == 2 * 16
    evaluations = {name: list(row["figures"][packed.name]) for name, row in told["arms"].items()}
    assert evaluations == {name: ["1"] for name in told["arms"]} | {
        "base": ["8", "4", "2", "1"], "noise-uniform": ["2", "1"], "noise-none": ["2", "1"], "no-own": ["8", "2", "1"],
        "one-only": ["2", "1"]}  # fmt: skip
    base, without_warp = (told["arms"][name]["figures"][packed.name]["1"] for name in ("base", "no-warp"))
    assert base["warp_db"] > base["still_db"] + 1 and without_warp["warp_db"] == without_warp["still_db"] == base["still_db"]
    assert base["net_db"] == base["warp_db"] and without_warp["change"] == 0 < base["change"], "first weights change nothing"
    assert all(ms > 0 for ms in told["ms_per_evaluation"].values()) and told["arms"]["base"]["minutes"] == 15

    before, shown = len(untrained), capsys.readouterr().out
    assert before == 14 and "base" in shown and "evaluations" in shown
    measured = []
    monkeypatch.setattr(arms, "validate", lambda *a: measured.append(a) or PAPER)
    judged = []
    paper = SimpleNamespace(judge_paper=lambda folder, shards, clips, steps: judged.append(steps) or (
        PAPER | {"net_db": 30.0 + 0.1 * steps}))  # fmt: skip
    monkeypatch.setitem(sys.modules, "atl_training.renderer.paper", paper)
    clips = SimpleNamespace(Clips=lambda *_, ours: [ours] * 12)
    monkeypatch.setitem(sys.modules, "atl_training.renderer.paper_clips", clips)
    (tmp_path / "paper.safetensors").touch()
    (tmp_path / "metrics.json").write_text(json.dumps({"settings": {"frames": 32}, "recordings": 802}))
    beside = "--seeds", "2", "--paper", str(tmp_path), "--shards", str(tmp_path), "--paper-steps", "3"
    again = ablation(monkeypatch, packed, tmp_path, *beside)
    assert again["arms"] == told["arms"] and again["mouth_arms"] == told["mouth_arms"]
    assert [(most, steps) for _, held, _, most, steps in measured if held == [True] * 12] == [(12, s) for s in arms.STEPS]
    assert len(measured) == 4 and len(untrained) == before + 1 and judged == list(arms.STEPS)
    assert again["paper"]["ours"]["frames"] == 3 * 16
    ablation(monkeypatch, packed, tmp_path, *beside)
    assert judged == list(arms.STEPS), "the paper's figures of the same weights are kept"

    page = arms_section(again)
    assert page.count("| noise as strong everywhere |") == 3 and page.count("| the paper's way |") == 4
    row = next(line for line in page.splitlines() if line.startswith("| the paper's way | 4 |"))
    assert "| 30.40 | +0.40 | -0.60 | 28.25 | +1.25 | -0.75 | 0.50 | 777.0 |" in row
    assert "2 seeds differ by up to 0.00 dB" in page
    for change, cell in ((0.2, "≈ (+0.20)"), (-1.5, "**-1.50**")):
        again["arms"]["pooled"]["figures"][packed.name]["1"]["net_db"] = base["net_db"] + change
        assert cell in arms_section(again)
    assert arms_section({}) == "" == arms_section({"arms": {"pooled": {}}})


def test_one_arm_can_be_made_anew_and_another_budget_is_refused(packed, tmp_path, monkeypatch, untrained):
    first = ablation(monkeypatch, packed, tmp_path, "--only", "pooled")
    told = ablation(monkeypatch, packed, tmp_path, "--only", "no-warp")
    assert list(told["arms"]) == ["no-warp", "pooled"] and told["arms"]["pooled"] == first["arms"]["pooled"]
    assert len(untrained) == 2
    with pytest.raises(UserError, match="another budget"):
        ablation(monkeypatch, packed, tmp_path, "--only", "pooled", "--steps", "3")
    with pytest.raises(UserError, match="--shards"):
        ablation(monkeypatch, packed, tmp_path, "--paper", "run")
    with pytest.raises(UserError, match="no run of renderer.paper"):
        ablation(monkeypatch, packed, tmp_path, "--paper", str(tmp_path), "--shards", str(tmp_path))
    with pytest.raises(UserError, match="no held-out segments"):
        ablation(monkeypatch, tmp_path, tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match="other data"):
        arms.train([tmp_path], tmp_path / "out" / "pooled", 2, ())


def test_arms_are_judged_as_they_were_trained(packed, tmp_path, monkeypatch, untrained):
    nets = []
    monkeypatch.setattr(arms, "validate", lambda net, *_: nets.append(net) or {})
    for name in ("noise-alone", "pooled", "noise-uniform", "no-flow"):
        arms.train([packed], tmp_path / name, 2, arms.ARMS[name])
        arms.row_of(tmp_path / name, [packed], (1,))
    assert [net.variation for net in nets] == [Variation(warp=False, rasters=False), Variation(pooled=True),
                                               Variation("uniform"), Variation(flow=False)]  # fmt: skip
    trained = load_file(tmp_path / "pooled" / "renderer.safetensors")
    assert all(torch.equal(value, trained[name]) for name, value in nets[1].state_dict().items())


def test_a_stopped_training_goes_on(packed, tmp_path, monkeypatch, capfd):
    """Trainings in processes of their own."""
    run, options = tmp_path / "out" / "noise-none", ("--only", "noise-none", "--steps")
    with subprocess.Popen(arms.command([packed], run, 4, arms.ARMS["noise-none"]), stderr=subprocess.DEVNULL) as process:
        while not (run / "metrics.json").exists() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert torch.load(run / "last.pt")["step"] < 4
    told = ablation(monkeypatch, packed, tmp_path, *options, "4")["arms"]["noise-none"]
    assert torch.load(run / "last.pt")["step"] == 4 and told["options"] == ["--noise", "none"]
    assert told["figures"][packed.name]["1"]["warp_db"] > 0
    (tmp_path / "arms.json").unlink()
    with pytest.raises(UserError, match="exit code 2"):
        ablation(monkeypatch, packed, tmp_path, *options, "5")
    assert "other settings" in capfd.readouterr().err
