"""The figures of docs/results.md: held-out clips made anew in all ways, judged beside the truth and the baselines.

    python -m atl_training.results --set "GRID, one real man" grid_shards --set "synthetic people" corpus --out docs/results.json

A set is a folder of shards; its held-out clips are judged (all of them, with --all, where none of it was trained on). Values are
means over clips with 95 % bootstrap intervals.
"""
import argparse
import json
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_evaluation.judge import Judge, Truth
from atl_evaluation.metrics.statistics import bootstrap_interval
from atl_face.errors import UserError
from atl_landmark_node.model import SpeechModel
from atl_training.shards import Sample, read_shards
from atl_training.tool import run_tool
from atl_training.ways import Clip, made_in_all_ways

_STATE = {}  # of a worker process: networks are loaded once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", nargs=2, action="append", metavar=("NAME", "SHARDS"), required=True, dest="sets")
    parser.add_argument("--clips", type=int, default=20, help="of each set (%(default)s)")
    parser.add_argument("--all", action="store_true", help="of all clips, not of the held-out ones")
    parser.add_argument("--renderer", type=Path, help="folder with another renderer than the shipped")
    parser.add_argument("--speech", type=Path, help="another landmark network (.onnx) than the shipped")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    result = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name, shards in arguments.sets:
        chosen = (sample for sample in read_shards([Path(shards)]) if is_spoken(sample) and (arguments.all or sample.held_out))
        clips = list(islice(chosen, arguments.clips))
        if not clips:
            raise UserError(f"{shards} has no clip to judge: nothing in it is held out; --all judges everything.")
        with get_context("spawn").Pool(arguments.workers, _start, (arguments.renderer, arguments.speech)) as pool:
            judged = list(tqdm(pool.imap(_judge, clips), total=len(clips), desc=name))
        result.setdefault("sets", {})[name] = {
            "clips": len(judged), "picture": " x ".join(map(str, judged[0]["picture"])), "crop_px": judged[0]["crop_px"],
            "rows": summed([clip["rows"] for clip in judged]),
        }  # fmt: skip
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def is_spoken(sample: Sample) -> bool:
    """Whether a clip has a picture, and something is said in it as far as is known: a mouth at rest has no motion to follow."""
    return bool(sample.facts["size"]) and sample.arrays.get("speaking", np.ones(1)).any()


def _start(renderer: Path | None, speech: Path | None) -> None:
    cv2.setNumThreads(1)
    _STATE["model"] = SpeechModel(path=speech)
    _STATE["ours"] = FaceRenderer(OpenVinoRuntime(1, folder=renderer))
    _STATE["judge"] = Judge(with_identity=True)


def _judge(sample: Sample) -> dict:
    clip = Clip.of(sample)
    truth = Truth(clip.frames, clip.landmarks)
    judge = partial(_STATE["judge"], sound=clip.sound, portrait=clip.portrait.picture, truth=truth)
    rows = {name: judge(frames) for name, frames in made_in_all_ways(clip, _STATE["model"], _STATE["ours"])}
    return {"rows": rows, "picture": clip.frames.shape[1:3], "crop_px": round(clip.portrait.transform.side_px)}


def summed(clips: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float | None]]]:
    """Way -> figure -> mean, low and high end of its interval, over clips that have the figure."""
    return {way: {name: _with_interval([clip[way][name] for clip in clips]) for name in figures}
            for way, figures in clips[0].items()}  # fmt: skip


def _with_interval(values: list[float]) -> list[float | None]:
    finite = [value for value in values if np.isfinite(value)]
    numbers = [np.mean(finite) if finite else np.nan, *bootstrap_interval(finite)]
    return [round(float(number), 4) if np.isfinite(number) else None for number in numbers]


if __name__ == "__main__":
    run_tool(main)
