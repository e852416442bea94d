"""Train a view's networks: identity encoder and U-Net together, as a bridge from the noised warped portrait to the frame.

    python -m atl_training.renderer.train --view mouth --data DIR... --out DIR [--steps 20000]
    torchrun --nproc-per-node N -m atl_training.renderer.train ...   # N processes, each with batches of its own

Seeded and resumable (OUT/last.pt); writes OUT/renderer.safetensors (moving average of the weights), metrics.json, and a log
with pictures for TensorBoard. Processes on several hosts must share OUT.
"""
import argparse
import copy
import json
import math
import os
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atl_diffusion_node.guide import MOUTH_WEIGHT
from atl_diffusion_node.views import FACE, MOUTH, VIEWS
from atl_face.errors import UserError
from atl_training.checkpoint import complete, load_checkpoint, save_checkpoint
from atl_training.device import add_device_argument, choose_device, join_processes
from atl_training.renderer.batches import CLIPS, FRAMES, Batch, Segments, stream
from atl_training.renderer.beholders import RECOGNITION_RATE, FaceCritic, LipReader, PerceptualLoss
from atl_training.renderer.critic import PatchCritic, hinge, persuade
from atl_training.renderer.judge import LOOK, pictures, validate
from atl_training.renderer.losses import reconstruction
from atl_training.renderer.net import NOISES, OWN_SHARE, START_SHARE, Renderer, Variation, states
from atl_training.schedule import one_cycle
from atl_training.tool import run_tool
from atl_training.weights import load_weights

LEARNING_RATE, CRITIC_RATE = 1e-3, 2e-4
CRITIC_LOSS, MATCHING_LOSS = 0.1, 0.06  # at .02 each the mouth kept three quarters of the truth's detail, at .06 and .04 .85
CRITIC_FROM = 0.2  # share of the steps after which the critic joins: first right, then sharp
GRADIENT_LIMIT = 1.0  # norm; without normalisation layers a bad batch could throw the net far off
AVERAGE = 0.997  # of the moving average that is kept: the critic makes single states noisy
ASKED = ("data", "shares", "begin", "rate", "steps", "seed", "view",
         "no_critic", "noise", "mouth_weight", "start_share", "own_share", "no_warp", "no_rasters", "pooled",
         "no_flow", "lengths", "perceptual", "identity", "lips", "lip_expert")  # fmt: skip
"""What a run can't change when it goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that renderer.pack wrote")
    parser.add_argument("--shares", type=float, nargs="+", help="how often each folder is drawn from; as its size says")
    parser.add_argument("--begin", type=Path, help="another run's renderer.safetensors, which this one goes on with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--every", type=int, default=500, help="steps between looks at held-out segments, and checkpoints")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="highest learning rate")
    parser.add_argument("--view", choices=VIEWS, required=True, help="that the networks are for")
    parser.add_argument("--no-critic", action="store_true")
    parser.add_argument("--noise", choices=NOISES, default="guided", help="ablation: of the start state")
    parser.add_argument("--mouth-weight", type=float, default=MOUTH_WEIGHT, help="ablation: 1 lets all landmarks noise alike")
    parser.add_argument("--start-share", type=float, default=START_SHARE, help="ablation: 1 teaches one evaluation alone")
    parser.add_argument("--own-share", type=float, default=OWN_SHARE, help="ablation: 0 bridges from the truth alone")
    parser.add_argument("--no-warp", action="store_true", help="ablation: start from the portrait as it is")
    parser.add_argument("--no-rasters", action="store_true", help="ablation: landmarks through the noise (and the warp) alone")
    parser.add_argument("--pooled", action="store_true", help="ablation: identity as vectors")
    parser.add_argument("--no-flow", action="store_true", help="ablation: nothing moves the warped portrait on")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(CLIPS), choices=range(1, FRAMES + 1),
                        help="of the segments, in frames: each batch has one of these")  # fmt: skip
    parser.add_argument("--perceptual", type=float, default=0.0, help="weight of the perceptual loss")
    parser.add_argument("--identity", type=float, default=0.0, help="weight of the identity loss, of the face's view")
    parser.add_argument("--lips", type=float, default=0.0, help="weight of what an expert sees of three frames' lips")
    parser.add_argument("--lip-expert", type=Path, help="folder of that expert's training (atl_training.sync.train)")
    add_device_argument(parser)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--bf16", action="store_true",
                        help="autocast: up to twice as fast on Zen 4 and 5, half as fast on Xeons without AMX")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)


def channels_last(batch: Batch) -> Batch:
    pixels = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name != "fine"}
    return replace(batch, **{n: t.contiguous(memory_format=torch.channels_last) for n, t in pixels.items()})


def step_of(net: nn.Module, optimiser: torch.optim.Optimizer, loss: torch.Tensor, world: int) -> None:
    """One step down the loss's gradient, the mean of all processes'."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    gradients = [p.grad for p in net.parameters()]
    if world > 1:
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, (flat / world).split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
    nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_LIMIT)
    optimiser.step()


class Training:
    """The networks, their optimisers, and one step of training."""

    def __init__(self, arguments: argparse.Namespace, world: int, device: torch.device):
        self.bf16, self.world, self.device = arguments.bf16, world, device
        made = Renderer(Variation.of(vars(arguments))), PatchCritic()  # on the CPU: the same first weights whatever the device
        net, critic = (m.to(device, memory_format=torch.channels_last) for m in made)
        if arguments.begin:
            load_weights(net, arguments.begin)
        optimiser = torch.optim.AdamW(net.parameters(), arguments.rate, betas=(0.9, 0.99), weight_decay=0.01)
        critic_optimiser = torch.optim.AdamW(critic.parameters(), CRITIC_RATE, betas=(0.5, 0.99))
        schedule = one_cycle(optimiser, arguments.rate, arguments.steps, 0.02, final_div_factor=50)
        self.net, self.critic, self.average, self.schedule = net, critic, copy.deepcopy(net), schedule
        self.optimiser, self.critic_optimiser = optimiser, critic_optimiser
        self.critic_from = float("inf") if arguments.no_critic else CRITIC_FROM * arguments.steps
        self.keep = {"net": net, "average": self.average, "critic": critic, "optimiser": optimiser,
                     "critic_optimiser": critic_optimiser, "schedule": schedule}  # fmt: skip
        self.beholders = {}
        if arguments.perceptual:
            self.beholders["perceptual"] = arguments.perceptual, PerceptualLoss(device)
        if arguments.lips:
            self.beholders["lips"] = arguments.lips, LipReader(arguments.lip_expert, device)
        self.faces = FaceCritic().to(device) if arguments.identity else None
        if self.faces:
            self.faces_optimiser = torch.optim.AdamW(self.faces.parameters(), RECOGNITION_RATE)
            self.beholders["identity"] = arguments.identity, self.faces.unlike
            self.keep |= {"faces": self.faces, "faces_optimiser": self.faces_optimiser}

    def __call__(self, batch: Batch, step: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The parts of the loss before the step, weighted."""
        batch = self.net.variation.apply(channels_last(batch.to(self.device)))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            x_s, s = states(self.net, batch, generator)
            answer = self.net(batch, x_s, s)
        parts = reconstruction(answer, batch)
        if step >= self.critic_from and batch.fine:
            real, fake, lines = batch.target, answer.whole, batch.rasters
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                step_of(self.critic, self.critic_optimiser, hinge(self.critic, real, fake, lines), self.world)
                asked = persuade(self.critic, real, fake, lines)
            parts |= {"critic": CRITIC_LOSS * asked["critic"], "matching": MATCHING_LOSS * asked["matching"]}
        if self.faces:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                found = self.faces.finds(batch, generator)
            step_of(self.faces, self.faces_optimiser, found, self.world)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):  # anew: it keeps weights
            parts |= {name: weight * loss(answer.whole, batch) for name, (weight, loss) in self.beholders.items()}
        step_of(self.net, self.optimiser, sum(parts.values()), self.world)
        self.schedule.step()
        with torch.no_grad():
            for mine, theirs in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mine.lerp_(theirs, 1 - AVERAGE)
        return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.shares and len(arguments.shares) != len(arguments.data):
        raise UserError("--shares needs one number for each folder of --data.")
    if min(arguments.steps, arguments.every) < 1:
        raise UserError("--steps and --every must be 1 or more.")
    if not (0 <= arguments.start_share <= 1 and 0 <= arguments.own_share <= 1 and arguments.mouth_weight > 0):
        raise UserError("--start-share and --own-share must be between 0 and 1, --mouth-weight above 0.")
    if not all(0 <= weight < math.inf for weight in (arguments.perceptual, arguments.identity, arguments.lips)):
        raise UserError("--perceptual, --identity and --lips must be 0 or more.")
    if (arguments.identity and arguments.view != FACE.name) or (arguments.lips and arguments.view != MOUTH.name):
        raise UserError("--identity is for the face's view, --lips for the mouth's.")
    if arguments.lips and max(arguments.lengths) < LipReader.LEAST:
        raise UserError(f"--lips needs segments of {LipReader.LEAST} frames among --lengths.")
    if bool(arguments.lips) != bool(arguments.lip_expert):
        raise UserError("--lips and --lip-expert go together.")
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))  # torchrun says so
    device = choose_device(arguments.device)
    torch.manual_seed(arguments.seed)  # the same first weights in every process
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    train = Segments([folder / "train" for folder in arguments.data], arguments.shares, arguments.mouth_weight)
    held = [folder for folder in arguments.data if (folder / "val").is_dir()]
    val = {folder.name: Segments([folder / "val"], mouth_weight=arguments.mouth_weight) for folder in held}
    training = Training(arguments, world, device)
    asked = json.loads(json.dumps({name: getattr(arguments, name) for name in ASKED} | {"processes": world}, default=str))
    last, begin, hours = arguments.out / "last.pt", 0, 0.0
    if last.exists():
        state = load_checkpoint(last)
        since = json.loads(json.dumps({name: parser.get_default(name) for name in ASKED}, default=str))  # options newer than it
        if since | state["arguments"] != asked:
            raise UserError(f"{arguments.out} holds a run with other settings ({state['arguments']}): choose another --out.")
        for name, part in training.keep.items():
            part.load_state_dict(state[name])
        begin, hours = state["step"], state["hours"]
    seed = [arguments.seed, begin, rank]  # every process and every resumed run draws anew
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    batches = stream(train, VIEWS[arguments.view], seed, device, tuple(arguments.lengths))
    if world > 1:
        join_processes(device)  # after the fork of `stream`: nccl must not be forked
    log, started = SummaryWriter(arguments.out / "log") if rank == 0 else None, time.time() - 3600 * hours
    steps = range(begin, arguments.steps)
    for step in tqdm(steps, str(device), arguments.steps, initial=begin, mininterval=30, disable=rank > 0):
        parts = training(next(batches), step, generator)
        if rank > 0:
            continue
        if step % 50 == 0:
            for name, value in parts.items():
                log.add_scalar(name, value.item(), step)
        if (step + 1) % arguments.every == 0 or step + 1 == arguments.steps:
            look(training, val, arguments, step + 1, (time.time() - started) / 3600, asked, log)
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


def look(training: Training, val: dict[str, Segments], arguments: argparse.Namespace, step: int, hours: float,
         asked: dict, log: SummaryWriter) -> None:  # fmt: skip
    """Checkpoint, weights, figures and pictures of the moving average."""
    states = {name: part.state_dict() for name, part in training.keep.items()}
    save_checkpoint(states | {"step": step, "hours": hours, "arguments": asked}, arguments.out / "last.pt")
    with complete(arguments.out / "renderer.safetensors") as partial:
        save_file({k: v.cpu().contiguous() for k, v in training.average.state_dict().items()}, partial)
    metrics: dict = {"step": step, "hours": round(hours, 3), "arguments": asked}
    for folder, segments in val.items():
        name, view = f"{folder}, {arguments.view}", VIEWS[arguments.view]
        metrics[name] = validate(training.average, segments, view, LOOK)
        for key, value in metrics[name].items():
            log.add_scalar(f"held-out {name}/{key}", value, step)
        log.add_image(f"{name}: portrait, warped, ours, truth", pictures(training.average, segments, view), step)
    with complete(arguments.out / "metrics.json") as partial:
        partial.write_text(json.dumps(metrics, indent=1))
    tqdm.write(json.dumps(metrics))


if __name__ == "__main__":
    run_tool(main)
