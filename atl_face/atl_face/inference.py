"""OpenVINO, which runs the networks on a CPU; loaded only where it is needed, and asked for where it is missing."""

import os
from functools import cache
from pathlib import Path
from threading import Lock
from types import ModuleType

import numpy as np

from atl_face.errors import UserError
from atl_face.files import existing_file


def load_openvino() -> ModuleType:
    """The module openvino.

    Raises:
        UserError: it isn't installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise UserError(
            f"The networks need OpenVINO, which can't be loaded ({error}): run `pip install openvino==2026.4.1`.",
            "no_openvino",
        ) from error
    return openvino


@cache
def core():
    """The process's one openvino.Core; see `load_openvino` for the error.

    Each one loads the CPU plugin anew, which gives the thread a stack of its own for signals; when several are gone, the thread
    is left with one that is unmapped (2026.4.1), and the next SIGINT or SIGTERM kills a Python process by SIGSEGV.
    """
    return load_openvino().Core()


def prefers_bf16() -> bool:
    """Whether bfloat16 beats float32 on this processor: by its kind, not by a stopwatch, so that runs repeat.

    OpenVINO must compute it natively, and it pays with AMX or on AMD's Zen 4 and 5. On the Xeon with AVX512-BF16
    alone on which this was written, bfloat16 convolutions were slower than float32.
    """
    native = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    cpuinfo = Path("/proc/cpuinfo")
    told = cpuinfo.read_text() if cpuinfo.is_file() else ""
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()  # which that property doesn't tell
    native &= allowed in ("ALL", "DEFAULT") or any(kind in allowed for kind in ("BF16", "FP16", "AMX", "AVX10", "AVX2_VNNI_2"))
    return native and ("amx_bf16" in told or "AuthenticAMD" in told)


def compile_on_cpu(path: Path, precision: str = "f32", threads: int = 1, **more: str):
    """An openvino.CompiledModel of a graph (ONNX), one stream; `more` are options by their OpenVINO names.

    Raises:
        UserError: OpenVINO isn't installed, or can't read the file.
    """
    engine, path = core(), existing_file(path, "network")
    if path.suffix not in (".onnx", ".xml"):  # other kinds are guessed at, loudly
        raise UserError(f"{path} is no .onnx file, as training writes them.", "bad_weights")
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1",
               "INFERENCE_NUM_THREADS": str(threads)}  # fmt: skip
    try:
        return engine.compile_model(str(path), "CPU", options | more)
    except RuntimeError as error:
        reason = str(error).strip().rsplit("\n", 1)[-1]
        raise UserError(f"OpenVINO can't run the network {path} ({reason}).", "bad_weights") from error


class FixedInference:
    """A compiled graph of fixed shapes, called with arrays of just these; a second thread waits.

    Its inputs stay where they are in memory: arrays handed over in each call cost OpenVINO's wrapper .3 ms, as much as a small
    network takes.
    """

    def __init__(self, compiled):
        tensor, self._request = load_openvino().Tensor, compiled.create_infer_request()
        self._inputs = [np.zeros(tuple(port.shape), np.float32) for port in compiled.inputs]
        for index, array in enumerate(self._inputs):
            self._request.set_input_tensor(index, tensor(array, shared_memory=True))
        self._outputs, self._lock = len(compiled.outputs), Lock()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The graph's outputs, which the caller owns, for inputs in the graph's order."""
        with self._lock:
            for mine, given in zip(self._inputs, inputs, strict=True):
                if given.shape != mine.shape:
                    raise ValueError(f"an input has the shape {given.shape} instead of {mine.shape}")  # it would be broadcast
                mine[...] = given
            self._request.infer()
            return [np.array(self._request.get_output_tensor(index).data) for index in range(self._outputs)]
