"""Where a training computes: the device of a process, how numbers get there, and how processes meet.

Weights begin and draws are made on the CPU, whatever the device, and checkpoints are read there (`checkpoint`): a run that began
on one device goes on on another. Only a network's own dropout is drawn where it computes. Draws repeat everywhere; weights repeat
to the bit on a CPU (but renderer.paper's), and on CUDA they can't: some gradients there are sums in no fixed order.
"""
import argparse
import os
from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from atl_face.errors import UserError

DEVICES = "auto", "cpu", "cuda"
CPU = torch.device("cpu")
PATIENCE = timedelta(minutes=30)  # for other processes; gloo's default. nccl's 10 are few while rank 0 makes a teacher's features


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default="auto",
                        help="to compute on (%(default)s: CUDA where torch sees it); a run may go on on another")  # fmt: skip


def choose_device(asked: str) -> torch.device:
    """The device of this process: the CPU, or the CUDA device whose number torchrun's LOCAL_RANK is (without torchrun the first).

    That one is made the process' current device. float32 stays float32 there, as it is on the CPU (cudnn would take TF32), and
    cudnn doesn't choose its algorithms by racing them, which would make every start another run.

    Raises:
        UserError: CUDA is asked for and torch sees none, or this host has fewer CUDA devices than processes.
    """
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return CPU
    if not torch.cuda.is_available():
        why = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no CUDA device"
        raise UserError(f"--device cuda can't be had here, {why}: take --device cpu.", "no_cuda")
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        raise UserError(f"Process {index + 1} of this host has no CUDA device, torch sees {count}: start no more processes than "
                        "that, or take --device cpu.", "no_cuda")  # fmt: skip
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)  # what nccl, and what sends objects through it, takes
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return device


def join_processes(device: torch.device) -> None:
    """Meet the other processes that torchrun started; waits for all. nccl carries what CUDA devices have, gloo what CPUs have."""
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def device_of(net: torch.nn.Module) -> torch.device:
    """Where a network computes."""
    return next(net.parameters()).device


def on_device(arrays: Iterable[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """Tensors of a batch's arrays on a device; the copy doesn't wait for what is computed there."""
    return [torch.from_numpy(array).to(device, non_blocking=True) for array in arrays]
