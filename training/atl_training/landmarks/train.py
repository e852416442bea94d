"""Train a sound-to-landmarks network: `stream` (the default at run time) or `kflm` (the paper's).

    python -m atl_training.landmarks.train --shards DIR... --out DIR [--model kflm [--encoder moonshine]]
    torchrun --nproc-per-node N -m atl_training.landmarks.train ...   # N processes share each batch

Seeded and resumable (OUT/last.pt); in the second half of the steps it ends early when the held-out clips say so. Writes
OUT/best.safetensors (the checkpoint that was best on them), its ONNX graph, metrics.json, and a log for TensorBoard. Processes on
several hosts must share OUT.
"""
import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atl_evaluation.metrics.motion import FLAT
from atl_face.errors import UserError
from atl_face.topology import lip_gap
from atl_landmark_node.model import LOOKAHEAD, STYLES
from atl_training.checkpoint import complete, load_checkpoint, refuse_others, save_checkpoint
from atl_training.device import add_device_argument, choose_device, join_processes, on_device
from atl_training.landmarks import no_speech, teacher
from atl_training.landmarks.data import Batches, Utterance, load_shards
from atl_training.landmarks.encoders import ENCODERS, EXCERPT, load_encoder
from atl_training.landmarks.judge import judge, points_of, score
from atl_training.landmarks.models import MODELS, load_net
from atl_training.schedule import one_cycle
from atl_training.tool import run_tool

BATCH = 32  # excerpts of 3 s
LONGEST_GRADIENT = 1.0  # norm, of each part's gradient
PATIENCE = 6  # looks without a better one, then training ends
PATIENT_UNTIL = 0.5  # share of the steps before which no look counts: at OneCycle's high rates none need be better
TEACHERS = ("moonshine",)
ASKED = "model", "encoder", "lookahead", "sync", "teacher", "steps", "seed", "bf16"  # what a run can't change when it goes on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the studio's clips and loaded real video")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, default="stream")
    parser.add_argument("--encoder", choices=ENCODERS, default=ENCODERS[0],
                        help="what `kflm` hears the sound with; the runtime has the default")  # fmt: skip
    parser.add_argument("--encoder-weights", type=Path, metavar="DIR",
                        help="of wav2vec2: config.json and model.safetensors, as transformers saves them")  # fmt: skip
    parser.add_argument("--lookahead", type=int, default=10 * LOOKAHEAD, metavar="MS",
                        help="that `stream` hears after a frame: a multiple of 20; the runtime has the default")  # fmt: skip
    parser.add_argument("--sync", type=float, default=None, help="weight of the sync critic (default: the model's)")
    parser.add_argument("--teacher", choices=TEACHERS,
                        help="an encoder that has heard far more speech: `stream` learns to guess its features, too")  # fmt: skip
    parser.add_argument("--rate", type=float, help="highest learning rate (default: the model's)")
    parser.add_argument("--begin", type=Path, help="another run's best.safetensors, whose network this one goes on with")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--every", type=int, default=500, help="steps between looks at the held-out clips, and checkpoints")
    add_device_argument(parser)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--bf16", action="store_true", help="autocast: 1.7 times as fast on Zen 4 and 5")
    parser.add_argument("--seed", type=int, default=0)


def clip_gradients(trainee: torch.nn.Module) -> None:
    """Each part's gradient to a norm of at most LONGEST_GRADIENT, on its own: a critic that learns fast must not slow the net."""
    for part in trainee.children():
        torch.nn.utils.clip_grad_norm_(part.parameters(), LONGEST_GRADIENT)


class Training:
    """The trainee and its optimiser, what is told of the run so far, and one step of training.

    Attributes:
        told: `step`, `hours`, `best` score, `waited`: looks without a better one. asked: the settings, as they are told.

    Raises:
        UserError: the settings don't go together, or --begin holds another network.
    """

    def __init__(self, arguments: argparse.Namespace, world: int, device: torch.device):
        self.steps, self.bf16, self.world, self.out = arguments.steps, arguments.bf16, world, arguments.out
        self.device = device
        heard = arguments.encoder, arguments.encoder_weights
        taught = load_encoder(arguments.teacher).width if arguments.teacher else 0
        trainee = MODELS[arguments.model](arguments.lookahead // 10, arguments.sync, *heard, taught)  # refuses what it can't do
        if arguments.begin:
            load_net(trainee, arguments.begin)
        trainee.to(device)  # made on the CPU: the same first weights whatever the device
        if trainee.encoder:
            trainee.encoder.to(device)
        rate = arguments.rate or trainee.learning_rate
        self.optimiser = torch.optim.AdamW(trainee.parameters(), rate, weight_decay=0.02)
        self.schedule = one_cycle(self.optimiser, rate, arguments.steps, 0.05)
        self.keep = {"trainee": trainee, "optimiser": self.optimiser, "schedule": self.schedule}
        self.trainee = self._shared = trainee
        self.told = {"step": 0, "hours": 0.0, "best": float("inf"), "waited": 0}
        asked = {name: getattr(arguments, name) for name in ASKED}
        asked |= {"shards": [str(path) for path in arguments.shards], "begin": arguments.begin and str(arguments.begin)}
        self.asked = asked | {"rate": rate, "processes": world, "encoder_weights": trainee.told.get("encoder_weights")}

    @property
    def has_waited(self) -> bool:
        """Whether it ends early."""
        return self.told["waited"] >= PATIENCE

    def resume(self) -> None:
        """Go on where OUT/last.pt, if there is one, was written; UserError, if it was with other settings."""
        last = self.out / "last.pt"
        if not last.exists():
            return
        state = load_checkpoint(last)
        refuse_others(self.out, state.get("arguments", {}), self.asked)
        for name, part in self.keep.items():
            part.load_state_dict(state[name])
        self.told = state["told"]

    def save(self) -> None:
        """Write OUT/last.pt."""
        parts = {name: part.state_dict() for name, part in self.keep.items()}
        save_checkpoint(parts | {"told": self.told, "arguments": self.asked}, self.out / "last.pt")

    def join(self) -> None:
        """Share each step's gradients with the other processes; waits for all."""
        if self.world > 1:
            join_processes(self.device)
            self._shared = DistributedDataParallel(self.trainee)

    def agree(self) -> None:
        """What rank 0 tells, in every process: all must agree on when to stop."""
        if self.world > 1:
            box = [self.told]
            dist.broadcast_object_list(box)
            self.told = box[0]

    def __call__(self, batch: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        """The parts of the loss before the step, weighted; batch: see `Batches.draw`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            parts = self._shared(*batch, step / self.steps)
        self.optimiser.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        clip_gradients(self.trainee)
        self.optimiser.step()
        self.schedule.step()
        return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.lookahead % 20 or arguments.lookahead < 0:
        raise UserError("--lookahead must be a multiple of 20 ms, 0 or more.")
    if arguments.encoder_weights and arguments.encoder != "wav2vec2":
        raise UserError("--encoder-weights are wav2vec2's: the other encoders need none.")
    if min(arguments.steps, arguments.every) < 1:
        raise UserError("--steps and --every must be 1 or more.")
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))  # torchrun says so
    device = choose_device(arguments.device)
    torch.manual_seed(arguments.seed)  # the same first weights in every process
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    training = Training(arguments, world, device)
    arguments.out.mkdir(parents=True, exist_ok=True)
    training.resume()
    begin = training.told["step"]
    if begin >= arguments.steps or training.has_waited:
        if rank == 0:
            _export(training.trainee, arguments.out)
        return

    learnt, held = _clips(arguments.shards)
    if rank == 0:
        no_speech.keep(arguments.out)
        if arguments.teacher:
            teacher.keep(learnt, arguments.teacher, arguments.out)
    training.join()
    no_speech.use(arguments.out)
    if arguments.teacher:
        teacher.use(learnt, arguments.teacher, arguments.out)
    seed = [arguments.seed, begin, rank]  # every process and every resumed run draws anew
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    batches = Batches(learnt, EXCERPT, max(1, BATCH // world), seed,
                      arguments.lookahead // 10, undisturbed=training.trainee.undisturbed,
                      encoder=training.trainee.encoder).ahead()  # fmt: skip
    log, started = SummaryWriter(arguments.out / "log"), time.time() - 3600 * training.told["hours"]
    steps = range(begin, arguments.steps)
    for step in tqdm(steps, str(device), arguments.steps, initial=begin, mininterval=10, disable=rank > 0):
        parts = training(on_device(next(batches), device), step)
        if step % 50 == 0 and rank == 0:
            for name, value in parts.items():
                log.add_scalar(name, value.item(), step)
        if (step + 1) % arguments.every and step + 1 < arguments.steps:
            continue
        if rank == 0:
            figures = look(training, learnt, held, step + 1, started)
            for style, rows in figures.items():
                for name, value in rows["net"].items():
                    log.add_scalar(f"held-out {style}/{name}", value, step)
            tqdm.write(f"{step + 1} {sum(parts.values()).item():.4f} {json.dumps(figures)}")
        training.agree()
        if training.has_waited:
            break
    if rank == 0:
        _export(training.trainee, arguments.out)
    if world > 1:
        dist.barrier()  # to leave right after `agree` can hang: gloo's thread wants the interpreter to free what it sent
        dist.destroy_process_group()


def look(training: Training, learnt: list[Utterance], held: list[Utterance], step: int, started: float) -> dict:
    """Figures of the held-out clips (`judge`); a checkpoint, and the weights with metrics.json where none were better.

    Args:
        step: so many are done. started: when the run would have begun without a break, s since 1970.
    """
    trainee, told = training.trainee, training.told
    trainee.eval()
    figures = judge(trainee.displacement, held)
    trainee.train()
    better = score(figures) < told["best"]
    counts = step > PATIENT_UNTIL * training.steps and not better
    told |= {"step": step, "hours": (time.time() - started) / 3600, "waited": told["waited"] + 1 if counts else 0}
    if better:
        told["best"] = score(figures)
        save_net(trainee, training.out / "best.safetensors")
        spent = {"step": step, "hours": round(told["hours"], 2), "processes": training.world, "arguments": training.asked}
        trained_on = {style: sum(u.style == index for u in learnt) for index, style in enumerate(STYLES)}
        (training.out / "metrics.json").write_text(json.dumps(figures | spent | {"utterances": trained_on}, indent=1))
    training.save()
    return figures


def _clips(shards: list[Path]) -> tuple[list[Utterance], list[Utterance]]:
    """The clips to learn, and the held-out ones whose lips move; UserError, if none of these can be judged."""
    utterances = load_shards(shards)
    held = [u for u in utterances if u.held and _moves(u)]
    if not judge(lambda u: np.zeros((len(u.weights), 68, 3)), held, most=1):
        raise UserError("No held-out clip of --shards can be judged: one must speak, with lips that move, for a second.")
    return [u for u in utterances if not u.held], held


def _moves(utterance: Utterance) -> bool:
    """Whether the true lips move: nothing can follow lips that don't, and their figures are NaN."""
    return lip_gap(points_of(utterance.weights)).std() > FLAT


def save_net(trainee: torch.nn.Module, path: Path) -> None:
    """Weights, and what network they are of."""
    with complete(path) as partial:
        save_file({name: value.cpu().contiguous() for name, value in trainee.net.state_dict().items()}, partial, trainee.told)


def _export(trainee: torch.nn.Module, out: Path) -> None:
    load_net(trainee, out / "best.safetensors")
    trainee.cpu().eval().export(out)


if __name__ == "__main__":
    run_tool(main)
