"""Train a sound-to-landmarks network: `stream` (the default at run time) or `kflm` (the paper's).

    python -m atl_training.landmarks.train --shards DIR... --out DIR [--model kflm]
    torchrun --nproc-per-node N -m atl_training.landmarks.train ...   # N processes share each batch

Seeded and resumable (OUT/last.pt); ends early when the held-out clips say so. Writes OUT/best.safetensors (the checkpoint that
was best on them), its ONNX graph, metrics.json, and a log for TensorBoard.
"""
import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atl_face.errors import UserError
from atl_landmark_node.model import LOOKAHEAD, STYLES
from atl_training.checkpoint import save_checkpoint
from atl_training.landmarks.data import Batches, load_shards
from atl_training.landmarks.judge import judge, score
from atl_training.landmarks.models import MODELS
from atl_training.tool import run_tool

FRAMES, BATCH = 75, 32  # 3 s, GRID's clip length
EVERY = 500  # steps between looks at the held-out clips
PATIENCE = 6  # looks without a better one, then training ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the studio's clips and loaded real video")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, default="stream")
    parser.add_argument("--lookahead", type=int, default=10 * LOOKAHEAD, metavar="MS",
                        help="that `stream` hears after a frame: a multiple of 20; the runtime has the default")  # fmt: skip
    parser.add_argument("--sync", type=float, default=None, help="weight of the sync critic (default: the model's)")
    parser.add_argument("--begin", type=Path, help="another run's best.safetensors, whose network this one goes on with")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--bf16", action="store_true", help="autocast: 1.7 times as fast on Zen 4 and 5")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.lookahead % 20 or arguments.lookahead < 0:
        raise UserError("--lookahead must be a multiple of 20 ms, 0 or more.")
    rank, world = _join(int(os.environ.get("WORLD_SIZE", "1")))
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    arguments.out.mkdir(parents=True, exist_ok=True)

    utterances = load_shards(arguments.shards)
    held = [u for u in utterances if u.held]
    trainee = MODELS[arguments.model](arguments.lookahead // 10, arguments.sync)
    if arguments.begin:
        trainee.net.load_state_dict(load_file(arguments.begin))
    shared = DistributedDataParallel(trainee) if world > 1 else trainee
    optimiser = torch.optim.AdamW(trainee.parameters(), trainee.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, trainee.learning_rate, arguments.steps, pct_start=0.05)
    keep = {"trainee": trainee, "optimiser": optimiser, "schedule": schedule}
    last, told = arguments.out / "last.pt", {"step": 0, "hours": 0.0, "best": float("inf"), "waited": 0}
    if last.exists():
        state = torch.load(last)
        for name, part in keep.items():
            part.load_state_dict(state[name])
        told = state["told"]
    batches = Batches([u for u in utterances if not u.held], FRAMES, max(1, BATCH // world),
                      [arguments.seed, told["step"], rank], arguments.lookahead // 10).ahead()  # fmt: skip
    log, started = SummaryWriter(arguments.out / "log"), time.time() - 3600 * told["hours"]
    for step in tqdm(range(told["step"], arguments.steps), initial=told["step"], total=arguments.steps, mininterval=10,
                     disable=rank > 0):  # fmt: skip
        batch = map(torch.from_numpy, next(batches))
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
            parts = shared(*batch, step / arguments.steps)
        loss = sum(parts.values())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 and rank == 0:
            for name, value in parts.items():
                log.add_scalar(name, value.item(), step)
        if (step + 1) % EVERY and step + 1 < arguments.steps:
            continue
        trainee.eval()
        figures = judge(trainee.displacement, held)  # in every process: all must agree on when to stop
        trainee.train()
        told |= {"step": step + 1, "hours": (time.time() - started) / 3600, "waited": told["waited"] + 1}
        better = score(figures) < told["best"]
        if better:
            told |= {"best": score(figures), "waited": 0}
        if rank == 0:
            if better:
                save_file({k: v.contiguous() for k, v in trainee.net.state_dict().items()}, arguments.out / "best.safetensors")
                spent = {"step": step + 1, "hours": round(told["hours"], 2), "processes": world}
                trained_on = {s: sum(u.style == i and not u.held for u in utterances) for i, s in enumerate(STYLES)}
                (arguments.out / "metrics.json").write_text(json.dumps(figures | spent | {"utterances": trained_on}, indent=1))
            save_checkpoint({name: part.state_dict() for name, part in keep.items()} | {"told": told}, last)
            for style, rows in figures.items():
                for name, value in rows["net"].items():
                    log.add_scalar(f"held-out {style}/{name}", value, step)
            tqdm.write(f"{step + 1} {loss.item():.4f} {json.dumps(figures)}")
        if told["waited"] >= PATIENCE:
            break
    if rank == 0:
        trainee.net.load_state_dict(load_file(arguments.out / "best.safetensors"))
        trainee.eval().export(arguments.out)
    if world > 1:
        dist.destroy_process_group()


def _join(world: int) -> tuple[int, int]:
    """This process's rank, and how many there are; torchrun says so in the environment."""
    if world > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return dist.get_rank(), world
    return 0, 1


if __name__ == "__main__":
    run_tool(main)
