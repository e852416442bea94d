"""OpenVINO, which runs the networks on a CPU; loaded only where it is needed, and asked for where it is missing."""

from pathlib import Path
from types import ModuleType

from atl_face.errors import UserError


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


def compile_on_cpu(path: Path, precision: str = "f32", threads: int = 1, **more: str):
    """An openvino.CompiledModel of a graph (ONNX), one stream; `more` are options by their OpenVINO names.

    Raises:
        UserError: OpenVINO isn't installed.
    """
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1",
               "INFERENCE_NUM_THREADS": str(threads)}  # fmt: skip
    return load_openvino().Core().compile_model(str(path), "CPU", options | more)
