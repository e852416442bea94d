"""What evaluates the networks: OpenVINO on a CPU (no torch needed), torch on a GPU; one small interface."""
from importlib import resources
from pathlib import Path
from typing import Protocol

import numpy as np

from atl_face.errors import UserError
from atl_face.inference import load_openvino

FACE_SIZE = 256  # pixels of the crop's side
WINDOW = (208, 192)
"""Height and width of the part of the crop that the networks see: multiples of 16 for the U-Net's levels. A face takes
about 0.6 of the crop's side, from brows to chin and from temple to temple; the rest is left for motion. What lies outside is
only warped. 0.61 of the whole crop's area, and so of its cost."""
MEMORY = ((8, 52, 48), (12, 26, 24), (16, 13, 12))  # (C, H, W) of the temporal memory of WINDOW, see unet.py
DATA = resources.files(__package__) / "data"


class Runtime(Protocol):
    """Evaluates the identity encoder and the U-Net on a WINDOW of the crop; arrays as in `unet.py`, numpy float32."""

    name: str

    def identity(self, portrait: np.ndarray, portrait_rasters: np.ndarray) -> object:
        """Features of a portrait, in whatever form `step` likes best."""

    def step(self, x_s, warped, guides, features, memory) -> tuple[np.ndarray, object]:
        """x0_hat (1, 3, H, W) and the memory for the next frame; `memory` None starts a stream."""


def prefers_bf16() -> bool:
    """Whether bfloat16 beats float32 on this processor: by its kind, not by a stopwatch, so that runs repeat.

    OpenVINO must compute it natively, and it pays with AMX or on AMD's Zen 4 and 5. On the Xeon with AVX512-BF16
    alone on which this was written, bfloat16 convolutions were slower than float32.
    """
    native = "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    cpuinfo = Path("/proc/cpuinfo")
    told = cpuinfo.read_text() if cpuinfo.is_file() else ""
    return native and ("amx_bf16" in told or "AuthenticAMD" in told)


class OpenVinoRuntime:
    """The exported ONNX graphs on CPU cores.

    Args:
        threads: cores to use; 0 leaves it to OpenVINO (all).
        precision: `auto` takes bf16 where that is the faster, else f32; see `prefers_bf16`.
    """

    def __init__(self, threads: int = 0, precision: str = "auto", folder: Path | None = None):
        folder = Path(str(DATA)) if folder is None else folder
        if precision == "auto":
            precision = "bf16" if prefers_bf16() else "f32"
        self.name = f"openvino-{precision}"
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = load_openvino().Core()
        self._identity = core.compile_model(str(folder / "identity.onnx"), "CPU", options)
        self._unet = core.compile_model(str(folder / "unet.onnx"), "CPU", options).create_infer_request()

    def identity(self, portrait, portrait_rasters):
        result = self._identity([portrait, portrait_rasters])
        return [np.array(result[i]) for i in range(len(result))]

    def step(self, x_s, warped, guides, features, memory):
        if memory is None:
            memory = [np.zeros((1, *shape), np.float32) for shape in MEMORY]
        values = [np.ascontiguousarray(a, np.float32) for a in (x_s, warped, guides)]
        result = self._unet.infer([*values, *features, *memory], share_inputs=True)
        outputs = [np.array(result[i]) for i in range(4)]
        return outputs[0], outputs[1:]


class TorchRuntime:
    """The same networks in torch, for a GPU: channels-last, bfloat16."""

    def __init__(self, device: str = "cuda", folder: Path | None = None):
        try:
            import torch
            from safetensors.torch import load_file
        except ImportError as error:
            raise UserError(f"The torch runtime needs a package that is missing ({error.name}); "
                            "`pip install torch safetensors`, or use the CPU.", "no_torch") from error  # fmt: skip
        from atl_diffusion_node.unet import GuidedUNet, IdentityEncoder

        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("No CUDA device can be used here; take --device cpu.", "no_cuda")
        folder = Path(str(DATA)) if folder is None else folder
        weights = load_file(folder / "renderer.safetensors")
        self._torch, self._device, self.name = torch, device, f"torch-{device}"
        self._dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self._nets = []
        for prefix, net in (("identity.", IdentityEncoder()), ("unet.", GuidedUNet())):
            net.load_state_dict({k[len(prefix):]: v for k, v in weights.items() if k.startswith(prefix)})
            self._nets.append(net.eval().to(device, self._dtype, memory_format=torch.channels_last))

    def _in(self, array):
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device, self._dtype)

    def identity(self, portrait, portrait_rasters):
        with self._torch.inference_mode():
            return self._nets[0](self._in(portrait), self._in(portrait_rasters))

    def step(self, x_s, warped, guides, features, memory):
        with self._torch.inference_mode():
            if memory is None:
                memory = [self._in(np.zeros((1, *shape), np.float32)) for shape in MEMORY]
            x_0, memory = self._nets[1](self._in(x_s), self._in(warped), self._in(guides), features, memory)
            return x_0.float().cpu().numpy(), memory


def make_runtime(device: str = "auto", threads: int = 0, precision: str = "auto") -> Runtime:
    """The runtime for a device: `cpu` (OpenVINO), `cuda` (torch), `auto` (cuda where torch sees one, else cpu)."""
    if device == "cuda" or (device == "auto" and has_cuda()):
        return TorchRuntime("cuda")
    return OpenVinoRuntime(threads, precision)


def has_cuda() -> bool:
    """Whether everything that TorchRuntime needs is here."""
    try:
        import safetensors  # noqa: F401
        import torch
    except (ImportError, OSError):  # missing, or a library of theirs is
        return False
    return torch.cuda.is_available()
