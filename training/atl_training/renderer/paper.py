"""The `paper` preset: ATL-Diff's renderer (arXiv 2507.12804, sections 3.2 and 3.3) as faithfully as a CPU allows, as a baseline.

    python -m atl_training.renderer.paper --shards DIR... --out DIR (--minutes 15 | --steps N) [--frames 32] [--bf16]

The 3D U-Net of `atl_diffusion_node.paper_unet` draws clips of 32 frames at 128 x 128 px in 8 DDIM steps from the portrait I with
noise where the landmarks are, x_T = I + M eps (M: `paper_clips.clip_masks`; eps fresh in every frame and channel); the portrait's
pooled feature enters at the bottleneck, the emotion next to the timestep. A CPU leaves it undertrained: metrics.json says for how
long it was trained, and nothing that it draws tells how good the paper's own weights are.

What the facts that we have of the paper leave open, and how it is chosen here:

- The process between. So that it ends in x_T, it diffuses the difference from the portrait, with noise of covariance M^2: a
  prior that depends on the data (Lee et al., "PriorGrad", ICLR 2022, section 3). With y_0 = x_0 - I and n = M eps:

      x_t = I + alpha_t y_0 + sigma_t n,   alpha_t = cos(pi t / 2), sigma_t = sin(pi t / 2), t in [0, 1]

  the cosine schedule as Salimans and Ho take it ("Progressive Distillation", ICLR 2022, section 2): x_1 = x_T to the bit.
- What the network predicts. x_T holds nothing of x_0 but what M says; there a prediction of the noise teaches nothing and
  gives x_0 as 0 / 0 (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", WACV 2024, section 3.2). So it
  predicts v_t = alpha_t n - sigma_t y_0 (Salimans and Ho, appendix D), in plain mean square. This is kind to the paper: the
  untrained network begins with v = 0, and one evaluation of it draws the portrait, not grey noise.
- The DDIM step from t to s < t (Song, Meng, Ermon, "Denoising Diffusion Implicit Models", ICLR 2021, equation 12 with no fresh
  noise): y_0 = alpha_t y_t - sigma_t v, n = sigma_t y_t + alpha_t v, y_s = alpha_s y_0 + sigma_s n; x_0 is clipped to [-1, 1]
  on the way, as DDPM's code does. Times are evenly spaced and begin at t = 1 (Lin et al., section 3.3).
- Identity: EfficientNet-Lite0's feature for ResNet-50's (`Clips`). GRID is one man and neutral: here neither says anything.
- Adam at DDPM's rate, one clip a step. No moving average of the weights: it would hold the first steps of so few.

Seeded and resumable (OUT/last.pt, every EVERY steps); a longer budget goes on with a run. Writes OUT/paper.safetensors (168 MB:
not for the repository) and OUT/metrics.json.
"""
import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from atl_diffusion_node.bridge import schedule, start_state
from atl_diffusion_node.paper_unet import CHANNELS, FRAMES, PaperUNet
from atl_diffusion_node.views import FACE
from atl_face.errors import UserError
from atl_training.checkpoint import load_checkpoint, save_checkpoint
from atl_training.device import CPU, add_device_argument, choose_device
from atl_training.renderer.judge import validate
from atl_training.renderer.net import Answer, Variation
from atl_training.renderer.paper_clips import Clip, Clips
from atl_training.tool import run_tool

RATE = 2e-4  # Ho, Jain, Abbeel 2020, appendix B
GRADIENT_LIMIT = 1.0  # norm; a batch is one clip
TIMESTEPS = 1000  # t = 1 in the units that the network's sines are made for
EVERY = 25  # steps between checkpoints: 0.5 GB each, and a step takes seconds
RECENT = 50  # steps whose mean loss is told


@dataclass(frozen=True)
class Settings:
    """What a run can't change when it goes on. `levels`: the U-Net's channels; the paper's, but for tests."""

    frames: int = FRAMES
    bf16: bool = False
    seed: int = 0
    levels: tuple[int, ...] = CHANNELS


def mix(t: float) -> tuple[float, float]:
    """alpha_t and sigma_t."""
    return math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)


def noised(x_0, portrait, n, t: float):
    """x_t and v_t of frames x_0, from their portrait and n = M eps; tensors that broadcast."""
    alpha, sigma = mix(t)
    y_0 = x_0 - portrait
    return portrait + alpha * y_0 + sigma * n, alpha * n - sigma * y_0


def ddim(predict, x_T, portrait, steps: int):
    """Frames drawn from their start state in `steps` evaluations of predict: (x_t, t) -> v."""
    times, y = schedule(steps).tolist(), x_T - portrait
    for t, s in zip(times[:-1], times[1:], strict=True):
        v = predict(portrait + y, t)
        (alpha, sigma), (alpha_s, sigma_s) = mix(t), mix(s)
        y_0, n = alpha * y - sigma * v, sigma * y + alpha * v
        y = alpha_s * ((portrait + y_0).clamp(-1, 1) - portrait) + sigma_s * n
    return portrait + y


def volume(frames):
    """(T, C, H, W) to (1, C, T, H, W)."""
    return frames.transpose(0, 1)[None]


class Paper(nn.Module):
    """The network with its process; in `judge.validate` it stands where our renderer does.

    Args:
        steps: evaluations that draw a clip.
    """

    variation = Variation()  # what validate wants to know of ours: here nothing is left out

    def __init__(self, settings: Settings, steps: int = 1):
        super().__init__()
        self.unet, self.settings, self.steps = PaperUNet(settings.levels), settings, steps
        nn.init.zeros_(self.unet.last[-1].weight)  # as DDPM's code begins
        nn.init.zeros_(self.unet.last[-1].bias)
        self.seconds = 0.0  # of cores, that drawing has taken

    def velocity(self, clip: Clip, x_t, t: float):
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.settings.bf16):
            time = torch.full((1,), TIMESTEPS * t, device=x_t.device)
            return self.unet(x_t, time, clip.emotion, clip.identity).float()

    def loss(self, clip: Clip, generator: torch.Generator):
        """Mean square error of v at a random time; the generator is the CPU's."""
        t = torch.rand((), generator=generator).item()
        eps = torch.randn(clip.target.shape, generator=generator).to(clip.mask.device, non_blocking=True)
        x_t, v = noised(volume(clip.target), volume(clip.portrait), volume(clip.mask * eps), t)
        return (self.velocity(clip, x_t, t) - v).square().mean()

    def forward(self, clip: Clip, *_) -> Answer:
        """Its frames (T, 3, H, W): nothing of them is blended or moved, and what our bridge would start from is of no use."""
        begun = time.process_time()
        eps = torch.randn(clip.target.shape, generator=torch.Generator().manual_seed(1)).to(clip.mask.device)
        portrait = volume(clip.portrait)
        x_T = start_state(portrait, volume(clip.mask), volume(eps))
        made = ddim(lambda x_t, t: self.velocity(clip, x_t, t), x_T, portrait, self.steps)[0].transpose(0, 1)
        self.seconds += time.process_time() - begun
        return Answer(made, made, clip.portrait, made.new_zeros(()))


def train(shards: list[Path], out: Path, settings: Settings, steps: float = math.inf, minutes: float = math.inf,
          device: torch.device = CPU) -> None:  # fmt: skip
    """Train, or go on, until either budget is spent. Minutes are a core's, so that other work beside doesn't shrink them; with a
    CUDA device they are those of the core that drives it."""
    torch.manual_seed(settings.seed)
    clips, paper = Clips(shards, "train", settings.frames), Paper(settings).to(device)
    optimiser = torch.optim.Adam(paper.unet.parameters(), RATE)
    asked, last = asdict(settings), out / "last.pt"
    at = {"step": 0, "hours": 0.0, "core_hours": 0.0, "losses": []}
    out.mkdir(parents=True, exist_ok=True)
    if last.exists():
        state = load_checkpoint(last)
        if state["settings"] != asked:
            raise UserError(f"{out} holds a run with other settings ({state['settings']}): choose another --out.")
        paper.unet.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        at = {name: state[name] for name in at}
    rng = np.random.default_rng([settings.seed, at["step"]])  # a resumed run draws anew
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))

    def save() -> None:
        net = paper.unet.state_dict()
        save_checkpoint({"net": net, "optimiser": optimiser.state_dict(), "settings": asked} | at, last)
        save_file(net, out / "paper.safetensors")
        recent = at["losses"][-RECENT:]
        told = {"step": at["step"], "frames": at["step"] * settings.frames, "hours": round(at["hours"], 4),
                "core_hours": round(at["core_hours"], 4), "loss": sum(recent) / max(len(recent), 1), "settings": asked,
                "recordings": len(clips), "torch_threads": torch.get_num_threads()}  # fmt: skip
        (out / "metrics.json").write_text(json.dumps(told, indent=1) + "\n")

    with tqdm(desc=str(device), initial=at["step"], mininterval=30) as bar:
        while at["step"] < steps and 60 * at["core_hours"] < minutes:
            wall, core = time.time(), time.process_time()
            loss = paper.loss(clips.batch([int(rng.integers(len(clips)))], FACE, rng).to(device), generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(paper.unet.parameters(), GRADIENT_LIMIT)
            optimiser.step()
            at["losses"].append(loss.item())
            at |= {"step": at["step"] + 1, "hours": at["hours"] + (time.time() - wall) / 3600,
                   "core_hours": at["core_hours"] + (time.process_time() - core) / 3600}  # fmt: skip
            bar.update()
            if at["step"] % EVERY == 0:
                save()
    save()


def judge_paper(folder: Path, shards: list[Path], clips: int, steps: int) -> dict[str, float]:
    """What `judge.validate` says of a run's weights on held-out clips, still portrait and our warp beside; how fast, how trained.

    Its PSNR is of whole clips, of ours of 4 frames: compare what a network wins over the warp and the still portrait beside it.

    Args:
        folder: of the run.
        clips: so many held-out recordings, spread evenly over the shards.
        steps: evaluations that draw a clip.

    Returns:
        still_db, still_mouth_db, still_sharpness, the same of warp and net, changed; ms_per_frame (milliseconds of one core, all
        evaluations, without the identity's network), hours and core_hours of training, steps_trained, frames_trained.

    Raises:
        UserError: the folder holds no run.
    """
    try:
        told = json.loads((folder / "metrics.json").read_text())
        weights = load_file(folder / "paper.safetensors")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} holds no run of renderer.paper that can be read ({error}).") from error
    paper = Paper(Settings(**told["settings"]), steps)
    paper.unet.load_state_dict(weights)
    held = Clips(shards, "val", paper.settings.frames, clips)
    figures = validate(paper, held, FACE, len(held))
    return figures | {"ms_per_frame": round(1e3 * paper.seconds / (len(held) * paper.settings.frames), 1),
                      "hours": told["hours"], "core_hours": told["core_hours"], "steps_trained": told["step"],
                      "frames_trained": told["frames"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, default=math.inf, help="of a core, from the run's beginning")
    budget.add_argument("--steps", type=float, default=math.inf, help="from the run's beginning, one clip each")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of a clip, a multiple of 8; fewer take less memory")
    parser.add_argument("--bf16", action="store_true", help="autocast: three times as fast on Zen 4 and 5")
    add_device_argument(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    least = 2 ** (len(CHANNELS) - 1)  # every level halves the frame rate
    if arguments.frames < least or arguments.frames % least:
        raise UserError(f"--frames must be a multiple of {least}.")
    if min(arguments.minutes, arguments.steps) <= 0:
        raise UserError("--minutes and --steps must be above 0.")
    device = choose_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    train(arguments.shards, arguments.out, Settings(arguments.frames, arguments.bf16, arguments.seed), arguments.steps,
          arguments.minutes, device)  # fmt: skip


if __name__ == "__main__":
    run_tool(main)
