"""Training where it is told to: how a device is chosen, and that every training runs there as it does on the CPU.

`elsewhere` stands in for a CUDA device; where there is one, the same tests run on it, too.
"""
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
pytest.importorskip("webdataset", reason="shards need requirements of training/README.md: webdataset")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from safetensors.torch import load_file  # noqa: E402
from torch.utils._pytree import tree_flatten, tree_map_only  # noqa: E402
from torch.utils.data._utils.pin_memory import pin_memory  # noqa: E402
from training.elsewhere import HERE, THERE, Elsewhere  # noqa: E402

from atl_diffusion_node.paper_unet import IDENTITY  # noqa: E402
from atl_diffusion_node.views import FACE, VIEWS  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_landmark_node.net import remember  # noqa: E402
from atl_training import device as devices  # noqa: E402
from atl_training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from atl_training.device import CPU, choose_device, join_processes, on_device  # noqa: E402
from atl_training.landmarks import models  # noqa: E402
from atl_training.landmarks import train as landmarks  # noqa: E402
from atl_training.landmarks.data import Batches, load_shards  # noqa: E402
from atl_training.landmarks.encoders import LogMel  # noqa: E402
from atl_training.renderer import batches, paper  # noqa: E402
from atl_training.renderer import train as renderer  # noqa: E402
from atl_training.renderer.batches import Segments  # noqa: E402
from atl_training.renderer.judge import pictures, validate  # noqa: E402
from atl_training.renderer.paper_clips import Clip as PaperClip  # noqa: E402
from atl_training.sync import train as sync  # noqa: E402
from atl_training.sync.data import WIDE, Clip  # noqa: E402
from atl_training.sync.net import SyncNet  # noqa: E402
from atl_training.tool import exit_status  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"))
pytestmark = pytest.mark.filterwarnings("ignore:.*non-meta parameter in the checkpoint")  # it is copied there
TRAININGS = {"renderer": (renderer, ("--data", "--view", "face")), "landmarks": (landmarks, ("--shards",)),
             "sync": (sync, ("--data",)), "paper": (paper, ("--steps", "1", "--shards"))}  # fmt: skip


@pytest.fixture(params=["elsewhere", CUDA])
def there(request, monkeypatch):
    """A device, and how near to the CPU's its numbers must be."""
    if request.param == "cuda":
        yield SimpleNamespace(device=choose_device("cuda"), near=1e-2)
        return
    with Elsewhere().patched(monkeypatch) as mode:
        yield SimpleNamespace(device=THERE, near=1e-3)  # 5e-4 where one unit at its kink goes the other way, 2e-5 else
    assert set(mode.autocasts) == {"cpu", "meta"} and mode.autocasts["cpu"] == mode.autocasts["meta"], "each run asks for its own"


@pytest.fixture
def two_cuda_devices(monkeypatch):
    """A host that has them, as far as torch says; returns the devices that were made current."""
    made_current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", made_current.append)
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = True, True, True, False
    yield made_current
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


def near(here, there, tolerance: float) -> None:
    """Raises unless two trees of numbers and tensors differ by so much at most, in all of a tensor: where a gradient is next to
    nothing, Adam may step the other way."""
    (one, form), (other, same_form) = tree_flatten(here), tree_flatten(there)
    assert form == same_form
    for a, b in zip(one, other, strict=True):
        a, b = (torch.as_tensor(value).detach().cpu().double() for value in (a, b))
        assert a.shape == b.shape and (a - b).norm() <= tolerance * (1 + a.norm())


def without_dropout(module: torch.nn.Module) -> torch.nn.Module:
    """CUDA draws it otherwise than a CPU."""
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return module


def test_a_device_is_chosen_by_what_there_is_and_which_process_asks(two_cuda_devices, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert choose_device("cpu") == CPU and not two_cuda_devices and torch.backends.cudnn.benchmark, "nothing is touched"
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1) == two_cuda_devices[-1]
    cudnn = torch.backends.cudnn
    assert not (cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32 or cudnn.benchmark) and cudnn.deterministic
    monkeypatch.setenv("LOCAL_RANK", "2")
    for asked in ("auto", "cuda"):  # a group of which one process computes on a CPU would wait for ever
        with pytest.raises(UserError, match="Process 3 of this host has no CUDA device, torch sees 2"):
            choose_device(asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    assert "device" not in {*renderer.ASKED, *landmarks.ASKED, *sync.ASKED, *vars(paper.Settings())}, "a run may go on on another"


@pytest.mark.parametrize("name", TRAININGS)
def test_a_cuda_device_that_isnt_there_is_told_in_a_sentence(name, tmp_path, monkeypatch, capsys):
    module, options = TRAININGS[name]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = [options[-1], "nothing", *options[:-1]] if options[-1].startswith("--") else ["--data", "nothing", *options[1:]]
    monkeypatch.setattr(sys, "argv", [name, *asked, "--out", str(tmp_path / "out"), "--device", "cuda"])
    assert exit_status(module.main) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --device cuda can't be had here") and told.count("\n") == 1 and "--device cpu" in told
    assert not (tmp_path / "out").exists()


def test_processes_of_cuda_devices_meet_through_nccl_and_others_through_gloo(monkeypatch):
    met = []
    monkeypatch.setattr(devices.dist, "init_process_group", lambda backend, timeout: met.append((backend, timeout.seconds)))
    join_processes(CPU), join_processes(torch.device("cuda", 1))
    assert met == [("gloo", 1800), ("nccl", 1800)]


def test_a_checkpoint_of_a_cuda_device_is_read_without_one(tmp_path, monkeypatch):
    here = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(here.parameters())
    here(torch.ones(3)).sum().backward(), optimiser.step()
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")  # as torch marks what was there
        save_checkpoint({"net": here.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "last.pt")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(tmp_path / "last.pt")
    state = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(state["net"]["weight"], here.weight) and state["optimiser"]["state"][0]["step"].device == CPU
    optimiser.load_state_dict(state["optimiser"])


def test_batches_are_pinned_for_cuda_alone(packed, monkeypatch):
    segments, pinned, made = Segments([packed / "val"]), [], []
    monkeypatch.setattr(batches, "DataLoader", lambda *_, **options: made.append(options["pin_memory"]) or [])
    for device in (CPU, torch.device("cuda")):
        batches.stream(segments, FACE, [0], device)
    assert made == [False, True]
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    batch = segments.batch([0], FACE, None)
    again = pin_memory(batch)  # as DataLoader does it
    assert len(pinned) == len(vars(batch)) - 1 and again.fine == batch.fine and again.frames == batch.frames


def test_cudas_autocast_is_kept_from_recurrent_networks():
    class There(torch.Tensor):
        is_cuda = True

    heard = torch.randn(1, 3, 4).bfloat16()
    gru, seen = torch.nn.GRU(4, 5, batch_first=True), []

    def spied(x, *state):
        seen.append((x.dtype, torch.is_autocast_enabled("cuda"), torch.is_autocast_enabled("cpu")))
        return gru(x.float(), *state)

    torch.set_autocast_enabled("cuda", True)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            remember(spied, heard, torch.zeros(1, 1, 5))
            remember(spied, heard.as_subclass(There), torch.zeros(1, 1, 5))
            assert torch.is_autocast_enabled("cuda")
    finally:
        torch.set_autocast_enabled("cuda", False)
    assert seen == [(torch.bfloat16, True, True), (torch.float32, False, True)]


def test_what_stands_in_for_cuda_is_as_strict():
    with Elsewhere():
        ones = torch.ones(3).to(THERE)
        assert (2 * ones + torch.tensor(1.0)).sum().item() == 9 and ones.flip(0)[1:].cpu().tolist() == [1, 1]
        for mixed in (lambda: ones + torch.ones(3), lambda: ones[torch.tensor([True, False, True])],
                      lambda: torch.where(torch.ones(3) > 0, ones, 0), lambda: torch.nn.functional.linear(ones, torch.ones(2, 3)),
                      lambda: torch.randn(3, device=THERE, generator=torch.Generator())):  # fmt: skip
            with pytest.raises(RuntimeError, match="two devices|generator of the CPU"):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            ones.numpy()


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_renderer_is_trained_there_as_on_the_cpu_and_goes_on_on_either(packed, tmp_path, there, view):
    parser = renderer.argparse.ArgumentParser()
    renderer.add_arguments(parser)
    own = "--start-share", "0.3", "--own-share", "1"  # the network's own answers are bridged from
    arguments = parser.parse_args(["--data", str(packed), "--out", str(tmp_path), "--view", view.name, "--steps", "4", *own])
    segments, held = Segments([packed / "train"]), Segments([packed / "val"])
    drawn = [segments.batch([k, k + 1], view, np.random.default_rng(k), frames=2) for k in range(3)]

    def trained(device, steps, state=None):
        torch.manual_seed(0)
        made, generator = renderer.Training(arguments, 1, device), torch.Generator().manual_seed(1)
        for name, part in made.keep.items() if state else ():
            part.load_state_dict(state[name])
        parts = [made(drawn[step], step, generator) for step in steps]
        return made, parts

    def state_of(training):
        parts = {name: part.state_dict() for name, part in training.keep.items()}
        return tree_map_only(torch.Tensor, lambda t: t.cpu(), parts)  # as a checkpoint is read

    (here, parts), (away, same_parts) = (trained(device, (0, 1)) for device in (HERE, there.device))
    near(parts, same_parts, there.near)
    assert ("critic" in parts[1]) == view.fine and all(p.device == there.device for p in away.net.parameters())
    near(*({n: part.get("state", part) for n, part in state_of(t).items() if n != "schedule"} for t in (here, away)), there.near)
    for network in (here.net, away.average):
        assert network.training
    near(*(validate(t.average, held, view, 1) for t in (here, away)), max(2e-3, there.near))  # rounded to three digits
    near(*(pictures(t.average, held, view, 1) for t in (here, away)), there.near)
    kept = state_of(here), state_of(away)  # each goes on where the other was
    goes_on = [trained(device, (2,), state)[1] for device, state in zip((there.device, HERE), kept, strict=True)]
    near(*reversed(goes_on), there.near)


@pytest.mark.parametrize("model", ["stream", "kflm"])
def test_landmarks_are_trained_there_as_on_the_cpu(model, tmp_path, there, monkeypatch):
    utterances = [u for u in load_shards([SAMPLE]) if not u.held][:4]
    monkeypatch.setattr(landmarks, "load_encoder", lambda name: LogMel())
    monkeypatch.setattr(models, "BRIDGE_SHARE", 1.0)
    ear = LogMel()
    for utterance in utterances:
        utterance.taught = np.resize(ear(utterance.sound.astype(np.float32) / 32768), (len(utterance.weights), ear.width))
    parser = landmarks.argparse.ArgumentParser()
    landmarks.add_arguments(parser)
    taught = ("--teacher", "moonshine") if model == "stream" else ()
    arguments = parser.parse_args(["--shards", str(SAMPLE), "--out", str(tmp_path), "--model", model, "--steps", "4", *taught])

    def trained(device):
        torch.manual_seed(0)
        training = landmarks.Training(arguments, 1, device)
        without_dropout(training.trainee)
        draws = Batches(utterances, 40, 2, 5, silent_share=0, encoder=training.trainee.encoder)
        return training, [training(on_device(draws.draw(), device), step) for step in range(2)]

    (here, parts), (away, same_parts) = (trained(device) for device in (HERE, there.device))
    near(parts, same_parts, there.near)
    if model == "stream":
        assert {"teacher", "critic", "sync", "bridge"} <= set(parts[1])
    near(here.trainee.state_dict(), away.trainee.state_dict(), there.near)
    moved = [t.trainee.eval().displacement(utterances[0]) for t in (here, away)]
    assert isinstance(moved[1], np.ndarray) and np.abs(moved[0] - moved[1]).max() < there.near
    landmarks.save_net(away.trainee, tmp_path / "best.safetensors")
    weights, saved = dict(here.trainee.net.state_dict()), load_file(tmp_path / "best.safetensors")
    near(weights, {name: saved[name] for name in weights}, there.near)
    exported = []
    monkeypatch.setattr(type(away.trainee), "export", lambda trainee, folder: exported.extend(trainee.state_dict().values()))
    landmarks._export(away.trainee, tmp_path)
    assert exported and all(value.device == CPU for value in exported)


def test_the_sync_expert_is_trained_and_measured_there_as_on_the_cpu(there):
    rng = np.random.default_rng(0)
    clips = [Clip(f"{k}", rng.integers(0, 255, (40, WIDE, WIDE), np.uint8), rng.integers(-9999, 9999, 40 * 640, np.int16), True,
                  True) for k in range(2)]  # fmt: skip
    arrays = rng.random((3, 31, sync.SIZE, sync.SIZE), np.float32), rng.random((3, 31 * 4, sync.MELS), np.float32)

    def trained(device):
        torch.manual_seed(0)
        made = without_dropout(SyncNet()).to(device, memory_format=torch.channels_last)
        optimiser, parts = torch.optim.AdamW(made.parameters(), 1e-3), []
        for _ in range(2):
            with torch.autocast(device.type, torch.bfloat16, enabled=False):
                seen, heard = made(*on_device(arrays, device))
            parts.append(sync.contrast(seen, heard, made.log_scale))
            optimiser.zero_grad(), sum(parts[-1].values()).backward(), optimiser.step()
        return parts, made.state_dict(), sync.measure(made, clips)

    near(*(trained(device) for device in (HERE, there.device)), max(2e-3, there.near))


def test_the_papers_renderer_is_trained_and_judged_there_as_on_the_cpu(there):
    picture = torch.Generator().manual_seed(3)
    frames, still = torch.rand(8, 3, 32, 32, generator=picture) * 2 - 1, torch.rand(1, 3, 32, 32, generator=picture)
    lines = torch.rand(8, 3, 16, 16, generator=picture)
    clip = PaperClip(frames, frames * 0.9, lines, lines[:, :1].repeat(1, 1, 2, 2), still, lines[:1], False,
                     torch.rand(1, IDENTITY, generator=picture), torch.tensor([2]))  # fmt: skip
    held = type("Held", (), {"__len__": lambda self: 1, "batch": lambda self, *_: clip})()

    def trained(device):
        torch.manual_seed(0)
        made, generator = paper.Paper(paper.Settings(8, levels=(8, 16, 24, 32)), 2).to(device), torch.Generator().manual_seed(0)
        optimiser, losses = torch.optim.Adam(made.unet.parameters(), paper.RATE), []
        for _ in range(2):
            losses.append(made.loss(clip.to(device), generator))
            optimiser.zero_grad(), losses[-1].backward(), optimiser.step()
        return losses, made.state_dict(), validate(made, held, FACE, 1, 2)

    near(*(trained(device) for device in (HERE, there.device)), max(2e-3, there.near))
