"""What evaluates the networks: OpenVINO or ONNX Runtime on a CPU (no torch needed), torch on a GPU; one small interface.

The views (`views.py`) have networks of one shape, each with weights of its own: FOLDER/face and FOLDER/mouth hold identity.onnx,
unet.onnx, unet_int8.onnx and renderer.safetensors, the same weights for torch.
"""
import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Protocol

import numpy as np

from atl_face.errors import UserError
from atl_face.inference import FixedInference, compile_on_cpu, prefers_bf16

FACE_SIZE = 256  # pixels of the crop's side
WINDOW = (128, 128)  # height and width of the face's view: the whole crop at half its size
MOUTH_WINDOW = (96, 112)
"""Height and width in px of the part of the crop, at its own size, that is drawn once more around the mouth: a wide open mouth
and the band in which it fades out, multiples of 16 for the U-Net's levels."""
WINDOWS = {"face": WINDOW, "mouth": MOUTH_WINDOW}
MEMORY_CHANNELS = (8, 12, 16)  # of the temporal memory's three tensors, see unet.py
DATA = resources.files(__package__) / "data"
INT8 = "unet_int8.onnx"
DEVICES = "auto", "cpu", "onnxruntime", "cuda", "cuda-graphs"  # what `make_runtime` knows, see the diffusion node's parameter


class Runtime(Protocol):
    """Evaluates the identity encoder and the U-Net of a view of the face; arrays as in `unet.py`, numpy float32."""

    name: str
    window: tuple[int, int]  # height and width of the pictures that it takes
    concurrent: bool  # views had better be evaluated at the same time, each in a thread of its own

    def identity(self, portrait: np.ndarray, portrait_rasters: np.ndarray) -> list:
        """Features of a portrait: four arrays (1, C, H, W) of the kind that `step` likes best, numpy or torch."""

    def step(self, x_s, warped, guides, features, memory) -> tuple[np.ndarray, np.ndarray, list]:
        """The change (1, 3, H, W) and the flow (1, 2, H/4, W/4) px of `GuidedUNet`, and the memory for the next frame; `memory`
        None starts a stream."""

    def of(self, view: str) -> "Runtime":
        """The runtime of a view, one of WINDOWS; its own is itself. It takes a moment (0.2 s on a CPU): make it before frames are
        awaited."""


def memory_shapes(height: int, width: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of the three memory tensors for pictures of height x width pixels."""
    return [(c, height >> level, width >> level) for level, c in enumerate(MEMORY_CHANNELS, 2)]


def best_precision() -> str:
    """What OpenVINO draws in unless told otherwise: int8 on x86, else f32 (on aarch64 nobody has looked).

    int8 is the fastest with AVX-512 and without (docs/results.md, "Speed"), for .01 to .03 dB (`data/quantise.json`). Its 16-bit
    sums could overflow where there is no VNNI: tests/diffusion_node/test_runtimes.py draws with AVX2 alone, too.
    """
    return "int8" if platform.machine() in ("x86_64", "AMD64") else "f32"


def _usable_cores() -> int:
    """Of the processor: those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _GraphRuntime(ABC):
    """The exported ONNX graphs; a subclass says what computes them.

    Args:
        threads: cores to use, 0: all. From two on the views share them: small networks gain little from a second core each,
            and wait for it.
        precision: see the subclass. `int8`: the U-Net's convolutions but the last, see `atl_training.renderer.quantise`; the
            identity encoder, which runs once a portrait, stays in floating point.
        folder: of both views; None takes the shipped ones.
        view: of WINDOWS.

    Raises:
        UserError: the folder has no such graph.
    """

    def __init__(self, threads: int = 0, precision: str = "auto", folder: Path | None = None, view: str = "face"):
        self._threads, self._precision, self._folder = threads, precision, folder or Path(str(DATA))
        self.view, self.window = view, WINDOWS[view]
        cores = threads or _usable_cores()
        self.concurrent, self._cores = cores > 1, max(1, (cores + (view == "face")) // 2)
        unet = self._folder / view / (INT8 if precision == "int8" else "unet.onnx")
        if not unet.is_file():
            raise UserError(f"{unet} isn't there: take another precision, or make it with atl_training.renderer.quantise.",
                            "no_graph")  # fmt: skip
        self._identity, self._unet = self._load(unet.with_name("identity.onnx")), self._load(unet)

    @abstractmethod
    def _load(self, graph: Path) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
        """What makes a graph's outputs of its inputs."""

    def identity(self, portrait, portrait_rasters):
        return self._identity([np.ascontiguousarray(a, np.float32) for a in (portrait, portrait_rasters)])

    def step(self, x_s, warped, guides, features, memory):
        if memory is None:
            memory = [np.zeros((1, *shape), np.float32) for shape in memory_shapes(*self.window)]
        inputs = [np.ascontiguousarray(a, np.float32) for a in (x_s, warped, guides, *features, *memory)]
        change, flow, *memory = self._unet(inputs)
        return change, flow, memory

    def of(self, view):
        return self if view == self.view else type(self)(self._threads, self._precision, self._folder, view)


class OpenVinoRuntime(_GraphRuntime):
    """The graphs in OpenVINO on CPU cores.

    `precision` is f32, bf16, int8 (the rest of that graph in bf16 or f32, whichever is faster) or auto, see `best_precision`.
    """

    def __init__(self, threads: int = 0, precision: str = "auto", folder: Path | None = None, view: str = "face"):
        self._float = ("bf16" if prefers_bf16() else "f32") if precision in ("auto", "int8") else precision
        if precision == "auto":
            precision = best_precision()
            if precision == "int8" and not ((folder or Path(str(DATA))) / view / INT8).is_file():  # a fresh export has none
                precision = self._float
        super().__init__(threads, precision, folder, view)
        self.name = f"openvino-{self._precision}"

    def _load(self, graph):
        run = FixedInference(compile_on_cpu(graph, self._float, self._cores, ENABLE_CPU_PINNING="NO"))
        return lambda inputs: run(*inputs)


class OnnxRuntime(_GraphRuntime):
    """The graphs in ONNX Runtime: on CUDA where its package has that (not tried: no GPU was there), else on CPU cores.

    `precision` is f32 (auto too) or int8; its CPU kernels have no bf16 convolutions.

    Raises:
        UserError: onnxruntime isn't installed; no int8 graph; bf16.
    """

    def __init__(self, threads: int = 0, precision: str = "auto", folder: Path | None = None, view: str = "face"):
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"ONNX Runtime can't be loaded ({error}): run `pip install onnxruntime`, or set `device` to cpu.",
                            "no_onnxruntime") from error  # fmt: skip
        if precision == "bf16":
            raise UserError("ONNX Runtime computes in f32 or int8 here, not in bf16.", "no_bf16")
        self._library = onnxruntime
        super().__init__(threads, "f32" if precision == "auto" else precision, folder, view)

    def _load(self, graph):
        options = self._library.SessionOptions()
        options.intra_op_num_threads = self._cores
        there = self._library.get_available_providers()
        providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
        session = self._library.InferenceSession(str(graph), options, providers)
        self.name = f"onnxruntime-{session.get_providers()[0].removesuffix('ExecutionProvider').lower()}-{self._precision}"
        names = [port.name for port in session.get_inputs()]
        return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


class TorchRuntime:
    """The same networks in torch, for a GPU: channels-last, bfloat16; several streams at once in `step_batch`.

    Its arithmetic is tested on a CPU; nothing of it has run on a GPU yet.

    Args:
        device: cuda or cpu (float32, for comparisons).
        compiled: by torch.compile, which captures CUDA graphs; takes a minute at a size's first frame.
    """

    def __init__(self, device: str = "cuda", folder: Path | None = None, compiled: bool = False, view: str = "face"):
        try:
            import torch
            from safetensors.torch import load_file
        except ImportError as error:
            raise UserError(f"The torch runtime needs a package that is missing ({error.name}); "
                            "`pip install torch safetensors`, or use the CPU.", "no_torch") from error  # fmt: skip
        from atl_diffusion_node.unet import GuidedUNet, IdentityEncoder

        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("No CUDA device can be used here; set `device` to cpu.", "no_cuda")
        self._torch, self._device, self._folder, self._compiled = torch, device, folder or Path(str(DATA)), compiled
        self.view, self.window, self.concurrent = view, WINDOWS[view], False
        weights = load_file(self._folder / view / "renderer.safetensors")
        self._dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.name = f"torch-{device}{'-compiled' if compiled else ''}"
        nets = []
        for prefix, net in (("identity.", IdentityEncoder()), ("unet.", GuidedUNet())):
            net.load_state_dict({k[len(prefix):]: v for k, v in weights.items() if k.startswith(prefix)})
            nets.append(net.eval().to(device, self._dtype, memory_format=torch.channels_last))
        self._identity, self._unet = nets
        if compiled:
            self._unet = torch.compile(self._unet, mode="reduce-overhead", dynamic=False)

    def _in(self, array):
        return self._torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self._device, self._dtype)

    def identity(self, portrait, portrait_rasters):
        with self._torch.inference_mode():
            return self._identity(self._in(portrait), self._in(portrait_rasters))

    def step(self, x_s, warped, guides, features, memory):
        return self.step_batch([(x_s, warped, guides, features, memory)])[0]

    def step_batch(self, streams: list[tuple]) -> list[tuple[np.ndarray, np.ndarray, list]]:
        """`step` for the next frame of several streams in one evaluation: arguments of `step` in, what it returns out."""
        with self._torch.inference_mode():
            *pictures, features, memory = zip(*streams, strict=True)
            pictures = [self._in(np.concatenate(p)) for p in pictures]
            start = [self._torch.zeros(1, *s, device=self._device, dtype=self._dtype) for s in memory_shapes(*self.window)]
            features, memory = ([self._torch.cat(level) for level in zip(*(m or start for m in parts), strict=True)]
                                for parts in (features, memory))  # fmt: skip
            if self._compiled:
                self._torch.compiler.cudagraph_mark_step_begin()
            change, flow, memory = self._unet(*pictures, features, memory)
            if self._compiled:  # the next run of a CUDA graph overwrites this one's results
                memory = [m.clone() for m in memory]
            change, flow = (a.float().cpu().numpy() for a in (change, flow))
            return [(change[k: k + 1], flow[k: k + 1], [m[k: k + 1] for m in memory]) for k in range(len(streams))]

    def of(self, view):
        return self if view == self.view else TorchRuntime(self._device, self._folder, self._compiled, view)


def make_runtime(device: str = "auto", threads: int = 0, precision: str = "auto") -> Runtime:
    """The runtime for a device, see the diffusion node's parameter.

    Raises:
        UserError: what was asked for isn't here, or the device can't compute in that precision.
    """
    if device == "onnxruntime":
        return OnnxRuntime(threads, precision)
    in_bf16 = precision in ("auto", "bf16")
    if device in ("cuda", "cuda-graphs") and not in_bf16:
        raise UserError(f"CUDA computes in bf16 here, not in {precision}: take the device cpu, or that precision.",
                        "no_precision")  # fmt: skip
    if device in ("cuda", "cuda-graphs") or (device == "auto" and in_bf16 and has_cuda()):
        return TorchRuntime("cuda", compiled=device == "cuda-graphs")
    return OpenVinoRuntime(threads, precision)


def has_cuda() -> bool:
    """Whether everything that TorchRuntime needs is here."""
    try:
        import safetensors  # noqa: F401
        import torch
    except (ImportError, OSError):  # missing, or a library of theirs is
        return False
    return torch.cuda.is_available()
