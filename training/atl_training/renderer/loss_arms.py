"""What losses are worth: arms that go on from the shipped weights with other losses, for a fixed number of steps each.

    python -m atl_training.renderer.loss_arms --data PACK... --grid SHARDS --lip-expert DIR --out DIR \\
        --json docs/renderer_losses.json

`renderer.arms` trains from nothing, where a few hundred steps say little of a loss that sharpens or recognises; here the
networks can draw already. Judged are the shipped weights as well, before any of it. A finished arm is kept, a stopped one
goes on. tools/renderer_losses_page.py makes tables of it.
"""
import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import DATA, TorchRuntime
from atl_diffusion_node.views import FACE, MOUTH, VIEWS, View
from atl_evaluation.metrics.features import Perceptual
from atl_evaluation.metrics.identity import Embedder, embeddings
from atl_evaluation.metrics.tracking import track
from atl_evaluation.provenance import host, sha256_of
from atl_evaluation.sync import SyncExpert
from atl_face.errors import UserError
from atl_training.checkpoint import load_checkpoint
from atl_training.figures import rounded, spread, with_interval
from atl_training.renderer.arms import change, train
from atl_training.renderer.batches import BATCH, Segments
from atl_training.renderer.judge import drawn, validate
from atl_training.renderer.net import Renderer, Variation
from atl_training.results import is_spoken
from atl_training.shards import read_shards
from atl_training.tool import run_tool
from atl_training.ways import Clip, draw
from atl_training.weights import load_weights

BEFORE, BASE, LIPS = "before", "base", "lips"
LONGER = "--lengths", "1", "2", "4"  # what LIPS needs changes the batches: an arm tells what that does by itself
ARMS = {
    MOUTH.name: {BASE: (), "no-critic": ("--no-critic",), "perceptual": ("--perceptual", "0.1"),
                 "perceptual-strong": ("--perceptual", "0.3"), "perceptual-alone": ("--no-critic", "--perceptual", "0.1"),
                 "lengths": LONGER, LIPS: ("--lips", "0.5", *LONGER)},
    FACE.name: {BASE: (), "perceptual": ("--perceptual", "0.05"), "identity": ("--identity", "1")},
}  # fmt: skip
"""View -> arm -> options of renderer.train. The perceptual loss's gradient in the mouth's pixels is at .1 less than half of that
of pixels and edges, at .3 somewhat more; in the face's at .05 half
(throwaway script)."""
RATE = 3e-4  # the shipped weights are begun with: less than what they were trained at
SEGMENTS = 60  # of a pack that are judged
EVERY = 3  # segments that the slow networks look at
CLIPS = 12  # that the expert of sync judges


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that renderer.pack wrote, each judged alone")
    parser.add_argument("--shares", type=float, nargs="+", help="how often each is drawn from; as its size says")
    parser.add_argument("--grid", type=Path, required=True, help="GRID as shards: what the expert of sync judges")
    parser.add_argument("--lip-expert", type=Path, required=True, help="folder of a training of atl_training.sync.train")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only", nargs="+", metavar="VIEW/ARM", help="such as mouth/base; the others of the file are kept")
    chosen = parser.parse_args()
    every = [f"{view}/{arm}" for view, arms in ARMS.items() for arm in (BEFORE, *arms)]
    if unknown := set(chosen.only or ()) - set(every):
        raise UserError(f"There is no arm {', '.join(sorted(unknown))}; there are {', '.join(every)}.")
    if missing := [str(pack) for pack in chosen.data if not (pack / "val").is_dir()]:
        raise UserError(f"{', '.join(missing)} has no held-out segments (val) to judge by.")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    budget = {"steps": chosen.steps, "frames": chosen.steps * BATCH, "rate": RATE, "packs": [p.name for p in chosen.data],
              "shares": chosen.shares, "sync_clips": CLIPS, "lip_expert": told_of(chosen.lip_expert),
              "begin": {view: sha256_of(shipped(view)) for view in VIEWS}}  # fmt: skip
    result, judge = known(chosen.json, budget), None
    refuse_other(chosen.out / "budget.json", budget)
    for name in chosen.only or every:
        view, arm = name.split("/")
        weights = shipped(view) if arm == BEFORE else trained(chosen, view, arm)
        if result["arms"].get(name, {}).get("weights") == sha256_of(weights):
            continue
        judge = judge or Judge(chosen.data, chosen.grid)
        row = {"options": [], "minutes": 0.0} if arm == BEFORE else {
            "options": list(ARMS[view][arm]), "minutes": round(60 * load_checkpoint(weights.with_name("last.pt"))["hours"], 1)}
        row |= judge(VIEWS[view], weights)
        print(name, json.dumps(row), flush=True)
        result = known(chosen.json, budget)  # another run may have added its arms
        result["arms"] = {n: r for n in every for r in [(result["arms"] | {name: row}).get(n)] if r}
        chosen.json.write_text(json.dumps(result | {"machine": host()}, indent=1) + "\n")


def known(path: Path, budget: dict) -> dict:
    """The file's figures, or none yet. Raises UserError where they are of another budget."""
    result = json.loads(path.read_text()) if path.exists() else {"budget": budget, "arms": {}}
    if result["budget"] != budget:
        raise UserError(f"{path} holds figures of another budget ({result['budget']}): choose another --json.")
    return result


def refuse_other(path: Path, budget: dict) -> None:
    """Write down with which budget a folder's runs are made. Raises UserError where it is another: finished ones are kept."""
    if path.exists() and json.loads(path.read_text()) != budget:
        raise UserError(f"{path.parent} holds runs of another budget: choose another --out.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(budget, indent=1) + "\n")


def told_of(expert: Path) -> dict:
    """What tells a training of a sync expert from others. Raises UserError where there is none."""
    if not all((expert / name).is_file() for name in ("last.pt", "metrics.json")):
        raise UserError(f"{expert} holds no finished training of a sync expert: run atl_training.sync.train.")
    metrics = json.loads((expert / "metrics.json").read_text())
    return {"sha256": sha256_of(expert / "last.pt"), "seed": metrics["seed"], "clips": metrics["clips"]}


def shipped(view: str) -> Path:
    return Path(str(DATA)) / view / "renderer.safetensors"


def trained(chosen: argparse.Namespace, view: str, arm: str) -> Path:
    """The weights of an arm, trained unless that is done."""
    options = ["--view", view, "--begin", str(shipped(view)), "--rate", str(RATE), *ARMS[view][arm]]
    if chosen.shares:
        options += ["--shares", *map(str, chosen.shares)]
    if arm == LIPS:
        options += ["--lip-expert", str(chosen.lip_expert)]
    return train(chosen.data, chosen.out / f"{view}-{arm}", chosen.steps, tuple(options)) / "renderer.safetensors"


class Judge:
    """What is told of an arm; the networks that look are loaded once."""

    def __init__(self, packs: list[Path], grid: Path):
        self._held = {pack.name: Segments([pack / "val"]) for pack in packs}
        self._perceptual, self._embed, self._expert = Perceptual(), Embedder(), SyncExpert()
        held = [sample for sample in read_shards([grid]) if sample.held_out and is_spoken(sample)]
        self._clips = [Clip.of(sample) for sample in spread(held, CLIPS)]

    def __call__(self, view: View, weights: Path) -> dict:
        """Weights' SHA-256; by pack what `validate` tells, `change`, and the means of `seen`; of the mouth's, `sync`."""
        net = Renderer(Variation(flow=not view.fine))
        load_weights(net, weights)
        figures = {name: validate(net, held, view, SEGMENTS) | {"change": change(net, held, view, 1)} | self.seen(net, held, view)
                   for name, held in self._held.items()}  # fmt: skip
        return {"weights": sha256_of(weights), "figures": figures} | ({"sync": self.sync(weights)} if view.fine else {})

    @torch.inference_mode()
    def seen(self, net: Renderer, held: Segments, view: View) -> dict[str, float | None]:
        """`perceptual`: HED-VGG's distance of drawn and true pictures; of the face, `identity`: dlib's distance of a drawn face
        and the true one, on frames where it finds both, which `found` counts (share)."""
        net.eval()
        distances, apart = [], []
        for index in range(0, len(held), EVERY * max(1, len(held) // SEGMENTS)):
            batch = net.variation.apply(held.batch([index], view, None, frames=1))
            ours, true = (picture(frames) for frames in (drawn(net, batch), batch.target))
            distances.append(self._perceptual([true], [ours])[0])
            if not view.fine:
                large = [cv2.resize(p, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for p in (ours, true)]
                apart.append(np.linalg.norm(np.subtract(*embeddings(self._embed, large))))
        figures = {"perceptual": rounded(np.mean(distances), 4)}
        if apart:
            found = np.isfinite(apart)
            figures |= {"identity": rounded(np.mean(np.array(apart)[found]), 4), "found": rounded(found.mean(), 3)}
        return figures

    def sync(self, mouth: Path) -> list[float | None]:
        """The judging expert's confidence in whole frames of GRID's held-out clips, from true landmarks, the shipped face and
        this mouth: mean and interval."""
        with TemporaryDirectory() as folder:
            for view, weights in ((FACE, shipped(FACE.name)), (MOUTH, mouth)):
                (Path(folder) / view.name).mkdir()
                (Path(folder) / view.name / weights.name).symlink_to(weights.resolve())
            renderer, scores = FaceRenderer(TorchRuntime("cpu", Path(folder))), []
        for clip in self._clips:
            frames = draw(renderer, clip.portrait, clip.true_points)
            scores.append(self._expert.score(frames, track(frames), clip.sound).confidence)
        return with_interval(scores)


def picture(frames: torch.Tensor) -> np.ndarray:
    """The first of frames (N, 3, H, W) in [-1, 1] as (H, W, 3) uint8."""
    return (127.5 * (frames[0] + 1)).clamp(0, 255).round().byte().permute(1, 2, 0).numpy()


if __name__ == "__main__":
    run_tool(main)
