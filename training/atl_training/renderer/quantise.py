"""Quantise each view's unet.onnx to unet_int8.onnx, and measure what that costs in quality and saves in time.

    python -m atl_training.renderer.quantise --folder DATA --data PACK... [--out DIR]

DATA holds what `renderer.export` wrote, PACK what `renderer.pack` wrote: its train segments calibrate, its val segments
judge. OUT (DATA itself, unless given) is a whole folder for the runtimes then, and has quantise.json.

Weights are 8-bit signed by output channel, activations 8-bit unsigned with a zero point, by the range of their values in
calibration. The last convolutions stay in floating point: they make the picture's own values, and where its pixels go. Quantised
as well, and with signed activations, OpenVINO 2026.4.1 drew wrong pictures of a graph that ONNX Runtime drew right: both are
judged for that reason. So do the first one, which takes in pictures and guides of unlike ranges, and the two coarse levels, whose
errors are spread over many pixels: of the face's frames, int8 was 52.0 dB from torch with all of them quantised, 53.0 without the
first, 54.4 without the coarse ones, 56.3 without both, for about a seventh of a view's time (ranges averaged over calibration
instead of their extremes: 39.3; throwaway script, 24 held-out segments).
"""
import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from torch.nn.functional import avg_pool2d
from tqdm import tqdm

from atl_diffusion_node.bridge import start_state
from atl_diffusion_node.runtime import INT8, OnnxRuntime, OpenVinoRuntime, Runtime, TorchRuntime, memory_shapes
from atl_diffusion_node.unet import moved
from atl_diffusion_node.views import VIEWS, View
from atl_training.renderer.batches import Segments
from atl_training.renderer.export import LEAST_DB, snr
from atl_training.tool import run_tool

CALIBRATION, JUDGED = 48, 40  # segments of four frames in all, by view: more change the ranges by little, and time is short
COARSE = 2, 3  # levels
EXACT = ("/out/", "/flow/", "/encoder/first.0/", *(f"/{part}.{level}/" for level in COARSE
         for part in ("encoder/first", "encoder/second", "up", "decoder")))  # fmt: skip
"""Parts of the names of what isn't quantised."""
TIMED = 6  # segments that are also drawn for the clock alone, by one runtime after the other


def noise_of(view: View, seed: int) -> np.ndarray:
    """The guide noise of a stream, (1, 3, H, W)."""
    return np.random.default_rng(seed).standard_normal((1, 3, *view.shape), np.float32)


def frames(runtime: Runtime, segments: Segments, index: int, view: View, noise: np.ndarray) -> Iterator[tuple]:
    """A segment in a view as the renderer draws it in one evaluation a frame.

    Args:
        runtime: of the view.

    Yields:
        the arguments of `Runtime.step`, x0_hat, the true frame, and the lips' place (1, 1, H, W) bool.
    """
    batch = segments.batch([index], view, None)
    portrait, lines, warped, mask, target = (
        part.numpy() for part in (batch.portrait, batch.portrait_rasters, batch.warped, batch.mask, batch.target)
    )
    half = avg_pool2d(batch.mask, 2).numpy()
    guides = np.concatenate([batch.rasters.numpy(), half, np.ones_like(half)], 1)  # s = 1
    x_s = start_state(warped, mask, noise)
    lips = guides[:, :2].max(1, keepdims=True).repeat(2, 2).repeat(2, 3) > 0.2
    features, memory = runtime.identity(portrait, lines), None
    for k in range(len(warped)):
        row = slice(k, k + 1)
        arguments = (x_s[row], warped[row], guides[row], features, memory)
        change, flow, memory = runtime.step(*arguments)
        base = moved(torch.from_numpy(warped[row]), torch.from_numpy(flow)).numpy()
        yield arguments, base + change, target[row], lips[row]


def chosen(packs: list[Segments], count: int) -> list[tuple[Segments, int]]:
    """Up to `count` segments, as many of each pack, evenly spread."""
    return [(pack, index) for pack in packs
            for index in sorted({int(i) for i in np.linspace(0, len(pack) - 1, count // len(packs))})]  # fmt: skip


class Calibration(CalibrationDataReader):
    """A U-Net's inputs in frames of packs, as quantize_static asks for them, one at a time: 1 MB each."""

    def __init__(self, runtime: Runtime, view: View, packs: list[Segments], names: list[str], seed: int):
        self._names, self._inputs = names, self._all(runtime, view, packs, seed)

    def _all(self, runtime, view, packs, seed):
        noise = noise_of(view, seed)
        for place in chosen(packs, CALIBRATION):
            for (x_s, warped, guides, features, memory), *_ in frames(runtime, *place, view, noise):
                memory = memory or [np.zeros((1, *shape), np.float32) for shape in memory_shapes(*view.shape)]
                yield x_s, warped, guides, *features, *memory

    def get_next(self):
        arrays = next(self._inputs, None)
        return arrays and {name: np.ascontiguousarray(a, np.float32) for name, a in zip(self._names, arrays, strict=True)}


def quantise(source: Path, target: Path, view: View, packs: list[Segments], seed: int) -> None:
    """Write the int8 graph of a view of the folder `source` to the file `target`."""
    model = onnx.load(source / view.name / "unet.onnx")
    exact = [node.name for node in model.graph.node if node.op_type == "Conv" and any(part in node.name for part in EXACT)]
    runtime = OpenVinoRuntime(1, "f32", source, view.name)
    reader = Calibration(runtime, view, packs, [port.name for port in model.graph.input], seed)
    quantize_static(model, target, reader, quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"],
                    per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    nodes_to_exclude=exact, calibrate_method=CalibrationMethod.MinMax)  # fmt: skip


def judge(folder: Path, packs: list[Segments], seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """By view and runtime: dB of its frames against torch's and, view and lips, against the true ones; ms of one core a frame.

    The times are a frame's medians of the process's own time on the CPU, in turns: other work on the machine weighs little.
    """
    precisions = ("f32", "f32", "bf16", "int8", "f32", "int8")
    places, figures = chosen(packs, JUDGED), {}
    for view in VIEWS.values():
        sized = [TorchRuntime("cpu", folder, view=view.name)]
        sized += [OpenVinoRuntime(1, precision, folder, view.name) for precision in ("f32", "bf16", "int8")]
        sized += [OnnxRuntime(1, precision, folder, view.name) for precision in ("f32", "int8")]
        noise = noise_of(view, seed)
        expected = [x_0 for place in places for _, x_0, *_ in frames(sized[0], *place, view, noise)]
        figures[view.name] = by = {}
        for runtime, precision in zip(tqdm(sized, desc=view.name), precisions, strict=True):
            drawn = [frame for place in places for frame in frames(runtime, *place, view, noise)]
            by[runtime.name] = _quality(runtime, precision, drawn, expected)
        examples = [arguments for place in places[:TIMED] for arguments, *_ in frames(sized[1], *place, view, noise)]
        times = {runtime.name: [] for runtime in sized[1:]}
        for arguments in examples * 3:
            for runtime in sized[1:]:
                before = time.process_time()
                runtime.step(*arguments)
                times[runtime.name].append(1e3 * (time.process_time() - before))
        for name, taken in times.items():
            figures[view.name][name]["cpu_ms"] = round(float(np.median(taken)), 2)
    return figures


def _quality(runtime: Runtime, precision: str, drawn: list[tuple], expected: list[np.ndarray]) -> dict[str, float]:
    """PSNR in dB over all frames; raises where they are further from torch's than the tolerance of the precision."""
    squares: dict[str, list[float]] = {"torch": [], "truth": [], "lips": []}
    for (_, x_0, target, lips), exact in zip(drawn, expected, strict=True):
        square = ((np.clip(x_0, -1, 1) - target) / 2) ** 2
        squares["torch"].append(float(np.mean(((x_0 - exact) / 2) ** 2)))
        squares["truth"].append(float(square.mean()))
        squares["lips"].append(float((square * lips).sum() / (3 * lips.sum() + 1e-6)))
    ratio = snr(np.stack([x_0 for _, x_0, *_ in drawn]), np.stack(expected))
    if ratio < LEAST_DB[precision]:
        raise AssertionError(f"{runtime.name} is off: {ratio:.1f} dB")
    return {f"{name}_db": round(float(-10 * np.log10(np.mean(values) + 1e-12)), 3) for name, values in squares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="what renderer.export wrote, with both views")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that renderer.pack wrote")
    parser.add_argument("--out", type=Path, help="where the int8 graphs go, beside what they belong to; --folder itself")
    parser.add_argument("--seed", type=int, default=0, help="of the guide noise")
    arguments = parser.parse_args()
    out = arguments.out or arguments.folder
    train, val = ([Segments([folder / split]) for folder in arguments.data] for split in ("train", "val"))
    with tempfile.TemporaryDirectory() as made:  # only graphs that have passed get out
        for view in VIEWS.values():
            Path(made, view.name).mkdir()
            for name in ("identity.onnx", "unet.onnx", "renderer.safetensors"):
                shutil.copy(arguments.folder / view.name / name, Path(made, view.name))
            quantise(arguments.folder, Path(made, view.name, INT8), view, train, arguments.seed)
        figures = judge(Path(made), val, arguments.seed)
        loss = {view: {name: round(by["openvino-f32"][name] - by["openvino-int8"][name], 3) for name in ("truth_db", "lips_db")}
                for view, by in figures.items()}  # fmt: skip
        result = {"loss_of_int8": loss, "views": figures}
        Path(made, "quantise.json").write_text(json.dumps(result, indent=1) + "\n")
        shutil.copytree(made, out, dirs_exist_ok=True)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_tool(main)
