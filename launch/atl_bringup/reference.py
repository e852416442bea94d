"""The reference of `atl bench --reference`: a network of the paper's size, timed between our frames; and what a network costs.

A clip of 32 frames in 8 DDIM steps takes most of a minute on two cores, and every step costs the same. So ONE evaluation of the
network for a whole clip is timed: a frame's time is that x 8 / 32, without what the DDIM steps add to it (a few sums a pixel)
and without what comes once a clip or a portrait (the start states, ResNet-50). That flatters the reference.
"""

import os
import time
from math import prod
from statistics import median

from atl_face.errors import UserError
from atl_face.inference import core, load_openvino, prefers_bf16

ROUNDS = 4  # evaluations that are timed, after one that isn't


class Reference:
    """The network of `atl_diffusion_node.paper_unet` in eager torch (float32) and in OpenVINO (bf16 or f32, whichever is faster).

    Args:
        threads: of both; 0: all cores.

    Raises:
        UserError: torch isn't installed.
    """

    def __init__(self, threads: int):
        try:
            import torch

            from atl_diffusion_node import paper_unet
        except (ImportError, OSError) as error:
            raise UserError(
                f"The reference network needs torch, which can't be loaded ({error}): `pip install` the torch that "
                "requirements/training.txt names, best in a copy of the environment, or leave out --reference.", "no_torch",
            ) from error  # fmt: skip
        torch.manual_seed(0)
        torch.set_num_threads(threads or os.cpu_count())
        self._torch, self._unet = torch, paper_unet
        self._net, self._inputs = paper_unet.PaperUNet().eval(), paper_unet.example()
        self.precision = "bf16" if prefers_bf16() else "f32"
        options = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        openvino = load_openvino()
        shapes = [tuple(i.shape) for i in self._inputs]
        model = openvino.convert_model(self._net, example_input=self._inputs, input=shapes)
        self._request = core().compile_model(model, "CPU", options).create_infer_request()
        self._seconds: dict[str, list[float]] = {}
        self.measure()
        self._seconds = {}  # the first evaluations pay for memory and for kernels that are chosen

    def measure(self) -> None:
        """Time one evaluation of each, for a clip."""
        before = time.perf_counter()
        with self._torch.inference_mode():
            self._net(*self._inputs)
        between = time.perf_counter()
        self._request.infer([i.numpy() for i in self._inputs], share_inputs=True)
        after = time.perf_counter()
        self._seconds.setdefault("torch", []).append(between - before)
        self._seconds.setdefault("runtime", []).append(after - between)

    def figures(self) -> dict[str, object]:
        """Cost, and the medians of what was measured, a frame."""
        unet, (params, gflop) = self._unet, self._unet.cost()
        result = {"params_m": round(params, 2), "gflop_per_frame": round(gflop, 1), "pixels": f"{unet.SIDE}x{unet.SIDE}",
                  "clip_frames": unet.FRAMES, "steps": unet.STEPS}  # fmt: skip
        for key, name in (("torch", "torch-f32"), ("runtime", f"openvino-{self.precision}")):
            frame = median(self._seconds[key]) * unet.STEPS / unet.FRAMES
            result[key] = {"name": name, "evaluations_ms": [round(1e3 * s) for s in self._seconds[key]],
                           "p50_ms": round(1e3 * frame, 1), "fps": round(1 / frame, 3)}  # fmt: skip
        return result


def network_cost(model) -> tuple[float, float]:
    """Parameters in millions, and GFLOP (2 x multiply-adds) of one evaluation: convolutions, products, attention, GRU.

    Args:
        model: a path or an `openvino.Model`, of static shapes.
    """
    openvino = load_openvino()
    if not isinstance(model, openvino.Model):
        model = core().read_model(str(model))
    parameters = adds = 0
    for op in model.get_ops():
        kind, shapes = op.get_type_name(), [tuple(i.get_shape()) for i in op.inputs()]
        if kind == "Constant" and op.get_element_type().is_real():
            parameters += prod(op.get_output_shape(0))
        elif kind == "Convolution":  # every output value: input channels x kernel
            adds += prod(op.get_output_shape(0)) * prod(shapes[1][1:])
        elif kind == "MatMul":  # every output value: the axis that both share
            adds += prod(op.get_output_shape(0)) * shapes[0][-2 if op.get_attributes()["transpose_a"] else -1]
        elif kind == "ScaledDotProductAttention":  # scores, and their use
            query, key, value = shapes[:3]
            adds += prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
        elif kind == "GRUSequence":  # both matrices, every step of the sequence
            adds += prod(shapes[0][:2]) * (prod(shapes[3]) + prod(shapes[4]))
    return parameters / 1e6, 2 * adds / 1e9
