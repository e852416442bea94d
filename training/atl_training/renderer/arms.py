"""Ablation: arms of the renderer trained at one budget and judged on the same held-out segments, and the paper's way beside them.

    python -m atl_training.renderer.arms --data PACK... --out DIR --json docs/renderer_arms.json [--paper DIR --shards SHARDS]

Each arm is trained on the face's view without a critic (but MOUTH_ARMS on the mouth's), in a process of its own; one that is
finished is kept, one that was stopped goes on. What is judged is the moving average of its weights. `--only` trains and judges
some arms anew and keeps the others of the file. Beside the paper's way stands one more of ours, trained on the first pack
alone for `--paper-steps`, and judged on the same clips. tools/renderer_arms_page.py makes tables of it.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from atl_diffusion_node.runtime import memory_shapes
from atl_diffusion_node.unet import GUIDE_CHANNELS, GuidedUNet, identity_shapes
from atl_diffusion_node.views import FACE, MOUTH, VIEWS, View
from atl_evaluation.provenance import host, sha256_of
from atl_face.errors import UserError
from atl_training.checkpoint import load_checkpoint
from atl_training.renderer.batches import BATCH, Segments
from atl_training.renderer.judge import LOOK, drawn, validate
from atl_training.renderer.net import Renderer, Variation
from atl_training.tool import run_tool
from atl_training.weights import load_weights

BASE, BESIDE = "base", "beside-paper"
ARMS = {
    BASE: (), "noise-uniform": ("--noise", "uniform"), "noise-none": ("--noise", "none"), "no-warp": ("--no-warp",),
    "no-rasters": ("--no-rasters",), "noise-alone": ("--no-warp", "--no-rasters"), "pooled": ("--pooled",),
    "no-flow": ("--no-flow",), "landmarks-alike": ("--mouth-weight", "1"), "no-own": ("--own-share", "0"),
    "one-only": ("--start-share", "1"),
}  # name -> options of renderer.train; noise-alone: landmarks through the noise only, the paper's way  # fmt: skip
PLAIN = "--view", FACE.name, "--no-critic"  # of every arm but the mouth's
MOUTH_ARMS = {"mouth": ("--view", MOUTH.name), "mouth-no-critic": ("--view", MOUTH.name, "--no-critic")}
STEPS = 8, 4, 2, 1  # network evaluations a frame, for the base and the paper's way
EVALUATIONS = {BASE: STEPS, "noise-uniform": (2, 1), "noise-none": (2, 1), "no-own": (8, 2, 1),
               "one-only": (2, 1)}  # other arms are judged at 1  # fmt: skip
SEGMENTS = 100  # of a pack that are judged: neighbours are of one clip
CLIPS = 12  # of --shards that the paper's way is judged on
TIMED = 30  # evaluations
STANDS = 0.1 / 127.5  # mean change of a tenth of a grey level: segments of one photo stand still (0), film has about 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True,
                        help="folders that renderer.pack wrote, each judged alone; the first beside the paper's way")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=1, help="that the base is trained with (%(default)s): tells the spread")
    parser.add_argument("--only", choices=[*ARMS, *MOUTH_ARMS], nargs="+", help="only these arms")
    parser.add_argument("--paper", type=Path, help="folder of a run of renderer.paper, judged too")
    parser.add_argument("--paper-steps", type=int, help="of the arm beside it: as many as take as long (default: --steps)")
    parser.add_argument("--shards", type=Path, nargs="+", help="that it is judged on: the set of the first of --data")
    chosen = parser.parse_args()
    if chosen.paper and not chosen.shards:
        raise UserError("--paper needs --shards.")
    if chosen.paper and not all((chosen.paper / name).is_file() for name in ("metrics.json", "paper.safetensors")):
        raise UserError(f"{chosen.paper} holds no run of renderer.paper.")  # now, not after hours
    if missing := [str(pack) for pack in chosen.data if not (pack / "val").is_dir()]:
        raise UserError(f"{', '.join(missing)} has no held-out segments (val) to judge by.")
    torch.set_num_threads(1)
    arms = {name: (ARMS | MOUTH_ARMS)[name] for name in chosen.only or [*ARMS, *MOUTH_ARMS]}
    if BASE in arms:
        arms |= {f"{BASE}-seed{seed}": ("--seed", str(seed)) for seed in range(1, chosen.seeds)}
    budget = {"steps": chosen.steps, "frames": chosen.steps * BATCH, "packs": [pack.name for pack in chosen.data]}
    result = json.loads(chosen.json.read_text()) if chosen.json.exists() else {"budget": budget, "arms": {}}
    result.setdefault("mouth_arms", {})
    if result["budget"] != budget:
        raise UserError(f"{chosen.json} holds figures of another budget ({result['budget']}): choose another --json.")
    for name, options in arms.items():
        rows = result["mouth_arms" if name in MOUTH_ARMS else "arms"]
        run = train(chosen.data, chosen.out / name, chosen.steps, options)
        if rows.get(name, {}).get("weights") != sha256_of(run / "renderer.safetensors"):
            rows[name] = row_of(run, chosen.data, EVALUATIONS.get(name, (1,))) | {"options": list(options)}
            write(result, chosen.json)  # at once: a stop loses one arm's figures at most
        show(name, rows[name]["figures"])
    result["ms_per_evaluation"] = {name: speed(*view.shape) for name, view in VIEWS.items()}
    if chosen.paper:
        result["paper"] = beside_paper(chosen, result.get("paper", {}))
    write(result, chosen.json)


def beside_paper(chosen: argparse.Namespace, known: dict) -> dict:
    """The paper's way and ours on the same clips: by number of evaluations what `validate` tells, and what training took.

    known: what the file holds already; figures of the same weights are kept."""
    from atl_training.renderer.paper import judge_paper  # our arms don't need the paper's network
    from atl_training.renderer.paper_clips import Clips

    told = json.loads((chosen.paper / "metrics.json").read_text())
    frames = told["settings"]["frames"]
    same = {"weights": sha256_of(chosen.paper / "paper.safetensors"), "clips": CLIPS, "pack": chosen.data[0].name}
    steps_asked = chosen.paper_steps or chosen.steps
    run = train(chosen.data[:1], chosen.out / BESIDE, steps_asked, ())
    net, last = net_of(run)
    held = Clips(chosen.shards, "val", frames, CLIPS, ours=True)
    ours = {"steps": steps_asked, "frames": steps_asked * BATCH, "hours": round(last["hours"], 4),
            "figures": {str(steps): validate(net, held, FACE, len(held), steps) for steps in STEPS}}  # fmt: skip
    show(BESIDE, {same["pack"]: ours["figures"]})
    paper = known["figures"] if same.items() <= known.items() else {
        str(steps): judge_paper(chosen.paper, chosen.shards, CLIPS, steps) for steps in STEPS}  # fmt: skip
    show("paper", {same["pack"]: paper})
    return same | {"frames": frames, "recordings": told["recordings"], "figures": paper, "ours": ours}


def command(data: list[Path], run: Path, steps: int, options: tuple[str, ...]) -> list[str]:
    """The training of one arm; a seed among its options goes before ours."""
    every = max(1, steps // 4)  # steps between checkpoints
    return [sys.executable, "-m", "atl_training.renderer.train", "--data", *map(str, data), "--out", str(run),
            "--steps", str(steps), "--every", str(every), "--seed", "0", "--threads", "1", "--bf16",
            *(() if "--view" in options else PLAIN), *options]  # fmt: skip


def train(data: list[Path], run: Path, steps: int, options: tuple[str, ...]) -> Path:
    """Train an arm unless that is done; returns its folder.

    Raises:
        UserError: the folder holds a run on other data, or training failed (and said why).
    """
    last, metrics = run / "last.pt", run / "metrics.json"
    told = json.loads(metrics.read_text()) if metrics.exists() else {}
    looked = {pack for pack, _, view in (name.rpartition(", ") for name in told) if view in VIEWS}
    if looked and looked != {pack.name for pack in data}:
        raise UserError(f"{run} holds a run on other data: choose another --out.")
    if not last.exists() or load_checkpoint(last)["step"] != steps:
        print(f"training {run.name}", flush=True)
        if code := subprocess.run(command(data, run, steps, options), check=False).returncode:
            raise UserError(f"The training of {run.name} ended with exit code {code}; what was wrong is said above.")
    return run


def row_of(run: Path, data: list[Path], evaluations: tuple[int, ...]) -> dict:
    """An arm's line: SHA-256 of its weights, minutes that it trained, and by pack and number of evaluations what `validate`
    tells, and `change`."""
    net, last = net_of(run)
    view, mouth_weight, figures = VIEWS[last["arguments"]["view"]], last["arguments"]["mouth_weight"], {}
    for pack in data:
        held = Segments([pack / "val"], mouth_weight=mouth_weight)
        figures[pack.name] = {
            str(steps): validate(net, held, view, SEGMENTS, steps) | {"change": change(net, held, view, steps)}
            for steps in evaluations}  # fmt: skip
    return {"weights": sha256_of(run / "renderer.safetensors"), "minutes": round(60 * last["hours"], 1), "figures": figures}


def net_of(run: Path) -> tuple[Renderer, dict]:
    """The moving average of a finished run, and its checkpoint."""
    last = load_checkpoint(run / "last.pt")
    net = Renderer(Variation.of(last["arguments"]))
    load_weights(net, run / "renderer.safetensors")
    return net, last


@torch.inference_mode()
def change(net: Renderer, held: Segments, view: View, steps: int) -> float | None:
    """Mean change from frame to frame, ratio to the truth's: above 1, frames flicker; None where the truth hardly moves."""
    net.eval()
    made = true = 0.0
    chosen = range(0, len(held), max(1, len(held) // LOOK))
    for index in chosen:
        batch = net.variation.apply(held.batch([index], view, None))
        made += drawn(net, batch, steps).diff(dim=0).abs().mean().item()
        true += batch.target.diff(dim=0).abs().mean().item()
    return round(made / true, 3) if true / len(chosen) > STANDS else None


@torch.inference_mode()
def speed(height: int, width: int) -> float:
    """Milliseconds (median) of one evaluation of the U-Net in torch, float32, on as many threads as are set; it is the same
    for all arms. The identity's features are computed once a portrait and aren't in it."""
    net = GuidedUNet().to(memory_format=torch.channels_last).eval()
    picture, guides = torch.zeros(1, 3, height, width), torch.zeros(1, GUIDE_CHANNELS, height // 2, width // 2)
    identity, memory = ([torch.zeros(1, *shape) for shape in shapes]
                        for shapes in (identity_shapes(height, width), memory_shapes(height, width)))  # fmt: skip
    times = []
    for _ in range(TIMED):
        begin = time.perf_counter()
        net(picture, picture, guides, identity, memory)
        times.append(1000 * (time.perf_counter() - begin))
    return round(statistics.median(times), 2)


def write(result: dict, path: Path) -> None:
    """The file, arms in the order of ARMS."""
    order = {name: place for place, name in enumerate(ARMS)}
    result["arms"] = dict(sorted(result["arms"].items(), key=lambda row: order.get(row[0], len(order))))
    path.write_text(json.dumps(result | {"machine": host()}, indent=1) + "\n")


def show(name: str, figures: dict) -> None:
    """A line for each pack and number of evaluations."""
    for pack, by_steps in figures.items():
        for steps, f in by_steps.items():
            print(f"{name:14} {pack:8} {steps} evaluations: {f['net_db']:.2f} dB, mouth {f['net_mouth_db']:.2f} (its start "
                  f"{f['warp_db']:.2f}, {f['warp_mouth_db']:.2f}), sharpness {f['net_sharpness']:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    run_tool(main)
