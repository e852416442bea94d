"""The figures of docs/results.md: held-out clips made anew in all ways, judged beside the truth and the baselines.

    python -m atl_training.results --set "GRID, one real man" grid_shards --set "synthetic people" corpus --out docs/clips.json

A set is a folder of shards; so many of its held-out clips are judged, evenly from all (of all its clips, with --all, where none
of it was trained on). Values are means over clips with 95 % bootstrap intervals. Of a figure that is best at 0, as a lag is, the
mean of its size is told, as `abs_NAME`: early in one clip and late in the next isn't in step. `gains`: paired differences of ours
from sound in the true head's pose and the still mouth in it. Impostors are the other people of the set. Distances of sets of
pictures are of the whole set, so they have no interval.
"""
import argparse
import json
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_evaluation.judge import Judge, Truth
from atl_evaluation.metrics.catalogue import METRICS
from atl_evaluation.metrics.identity import Embedder, embeddings
from atl_face.errors import UserError
from atl_landmark_node.model import SpeechModel
from atl_training.figures import rounded, spread, with_interval
from atl_training.likeness import Likeness, Networks, of_sets
from atl_training.shards import Sample, read_shards
from atl_training.tool import run_tool
from atl_training.ways import FROM_SOUND_POSED, HELD, Clip, made_in_all_ways
from atl_training.workers import begin_worker

POSED = f"ours from {FROM_SOUND_POSED}"
GAINED = "m_lmd", "m_lvd", "psnr_mouth"  # of it on HELD, which it must beat
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
    Networks()  # what isn't installed is told here: a process of the pool that can't begin would be begun again for ever
    embed = Embedder()
    for name, shards in arguments.sets:
        chosen = [sample for sample in read_shards([Path(shards)]) if is_spoken(sample) and (arguments.all or sample.held_out)]
        clips = spread(chosen, arguments.clips)
        if not clips:
            raise UserError(f"{shards} has no clip to judge: nothing in it is held out; --all judges everything.")
        with get_context("spawn").Pool(arguments.workers, _start, (arguments.renderer, arguments.speech)) as pool:
            judged = list(tqdm(pool.imap(_judge, with_impostors(clips, embed)), total=len(clips), desc=name))
        rows = summed([clip["rows"] for clip in judged])
        ways = {way: [clip["faces"][way] for clip in judged] for way in rows}
        for way, figures in of_sets([clip["true_faces"] for clip in judged], ways).items():
            rows[way] |= {figure: [rounded(value, 4), None, None] for figure, value in figures.items()}
        result.setdefault("sets", {})[name] = {
            "clips": len(judged), "people": len({clip.facts["speaker"] for clip in clips}),
            "pictures": sum(len(clip["true_faces"]) for clip in judged),
            "picture": " x ".join(map(str, judged[0]["picture"])), "crop_px": judged[0]["crop_px"], "rows": rows,
            "gains": gains([clip["rows"] for clip in judged]),
        }  # fmt: skip
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def with_impostors(clips: list[Sample], embed: Embedder) -> list[tuple[Sample, np.ndarray | None]]:
    """Each clip with the embeddings (m, 128) of the first frames of the other people's clips; of one person alone, None."""
    faces = embeddings(embed, (clip.frames()[0] for clip in clips))
    people = np.array([clip.facts["speaker"] for clip in clips])
    if len(set(people)) == 1:
        return [(clip, None) for clip in clips]
    return [(clip, faces[people != person]) for clip, person in zip(clips, people, strict=True)]


def is_spoken(sample: Sample) -> bool:
    """Whether a clip has a picture, and something is said in it: a mouth at rest has no motion to follow."""
    return bool(sample.facts["size"]) and sample.says_something


def _start(renderer: Path | None, speech: Path | None) -> None:
    begin_worker()
    cv2.setNumThreads(1)
    _STATE["model"] = SpeechModel(path=speech)
    _STATE["ours"] = FaceRenderer(OpenVinoRuntime(1, folder=renderer))
    _STATE["judge"], _STATE["networks"] = Judge(with_identity=True), Networks()


def _judge(task: tuple[Sample, np.ndarray | None]) -> dict:
    sample, impostors = task
    clip = Clip.of(sample)
    rest = clip.after_first
    truth, likeness = Truth(rest.frames, rest.landmarks), Likeness(_STATE["networks"], rest)
    judge = partial(_STATE["judge"], sound=rest.sound, portrait=clip.portrait.picture, truth=truth, impostors=impostors)
    rows, faces = {}, {}
    for way, frames in made_in_all_ways(clip, _STATE["model"], _STATE["ours"]):
        frames = frames[1:]
        rows[way] = judge(frames) | {"perceptual_hed_vgg_mouth": likeness.mouths(frames)}
        faces[way] = likeness.faces_of(way, frames)
    return {"rows": rows, "faces": faces, "true_faces": likeness.faces, "picture": clip.frames.shape[1:3],
            "crop_px": round(clip.portrait.transform.side_px)}  # fmt: skip


def summed(clips: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float | None]]]:
    """Way -> figure -> mean, low and high end of its interval, over clips that have the figure."""
    return {way: dict(_with_interval(name, [clip[way][name] for clip in clips]) for name in figures)
            for way, figures in clips[0].items()}  # fmt: skip


def gains(clips: list[dict[str, dict[str, float]]]) -> dict[str, list[float | None]]:
    """Figure -> mean difference of ours from the still mouth in the same pose, paired by clip, with its interval."""
    return {name: with_interval(clip[POSED][name] - clip[HELD][name] for clip in clips) for name in GAINED}


def _with_interval(name: str, values: list[float]) -> tuple[str, list[float | None]]:
    """A figure's name and numbers; of one that is best at 0, of its size."""
    if name in METRICS and METRICS[name].better == 0.0:
        name, values = f"abs_{name}", np.abs(values)
    return name, with_interval(values)


if __name__ == "__main__":
    run_tool(main)
