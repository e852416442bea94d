"""Measure everything that is asked of the renderer, as the runtime runs it.

    python -m atl_training.renderer.report --grid SHARDS --corpus SHARDS --turns SHARDS --folder SHARDS --portraits DIR \\
        --out docs/renderer.json

GRID's are a real man's clips held out by clip, the corpus's people are held out (and those of --turns, a corpus made with
`--turn 30`), those of the folder are all unseen, as are the
portraits that are held out by name. A part whose data isn't given is left out, and told. `--only` measures some parts anew and
keeps the others of the file; `measured` tells by part with which weights, and how busy the machine was before.
tools/renderer_page.py makes tables of it.
"""
import argparse
import json
from pathlib import Path

import cv2
from tqdm import tqdm

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import DATA, OpenVinoRuntime
from atl_diffusion_node.views import VIEWS
from atl_evaluation.baselines import WarpOnly
from atl_evaluation.provenance import host, sha256_of
from atl_face.errors import UserError
from atl_landmark_node.model import SpeechModel
from atl_training.figures import spread
from atl_training.renderer.report.drift import drift, turned
from atl_training.renderer.report.sets import on_clips
from atl_training.renderer.report.silence import in_silence
from atl_training.renderer.report.strangers import HEIGHT_PX, on_strangers
from atl_training.renderer.report.turns import on_turns
from atl_training.results import is_spoken
from atl_training.shards import Sample, read_shards
from atl_training.tool import run_tool

NEEDS = {"grid": ("grid",), "corpus": ("corpus",), "turns": ("turns",), "folder": ("folder",), "portraits": ("grid", "portraits"),
         "turned": (), "silence": (), "drift": ("grid",)}  # fmt: skip
"""Part -> options. Strangers and drift say what GRID's clips say."""
SHORT = 12  # hex digits of a network's SHA-256 that tell it from others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=Path, help="GRID as shards (atl-corpus load)")
    parser.add_argument("--corpus", type=Path, help="shards of the studio's, with pictures")
    parser.add_argument("--turns", type=Path, help="the same, whose heads turn far (atl-corpus make --turn 30)")
    parser.add_argument("--folder", type=Path, help="shards of film of people whom no training saw: all of it is judged")
    parser.add_argument("--portraits", type=Path, help="folder of pictures (.jpg); those held out by name are judged")
    parser.add_argument("--clips", type=int, default=12, help="of each set (%(default)s)")
    parser.add_argument("--people", type=int, default=24, help="portraits; 20 of the others are impostors (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="of drift (%(default)g)")
    parser.add_argument("--only", choices=NEEDS, action="append", help="only this part; may be repeated")
    parser.add_argument("--sheet", type=Path, help="picture of the turned heads to write (.png)")
    parser.add_argument("--renderer", type=Path, default=Path(str(DATA)), help="folder with another renderer than the shipped")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; parts that aren't measured stay as they are")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    runtime, model = OpenVinoRuntime(1, folder=chosen.renderer), SpeechModel()
    ours = FaceRenderer(runtime)
    renderers = {"ours": ours, "warp only": FaceRenderer(WarpOnly())}
    portrait = load_portrait(default_portrait_path(), HEIGHT_PX)
    measure = {
        "grid": lambda: on_clips(_held_out(chosen.grid, chosen.clips), ours, model, "GRID", spoken=True),
        "corpus": lambda: on_clips(_one_each(chosen.corpus, chosen.clips), ours, model, "corpus", spoken=False),
        "turns": lambda: on_turns(_one_each(chosen.turns, 0), renderers),
        "folder": lambda: on_clips(_all(chosen.folder, chosen.clips), ours, model, "folder", spoken=False),
        "portraits": lambda: on_strangers(chosen.portraits, chosen.people, renderers, model, _held_out(chosen.grid, 1)[0].audio),
        "turned": lambda: turned(portrait, renderers, chosen.sheet),
        "silence": lambda: in_silence(ours, model, portrait),
        "drift": lambda: drift(portrait, ours, model, [s.audio for s in _held_out(chosen.grid, chosen.clips)], chosen.minutes),
    }
    weights = {view: sha256_of(chosen.renderer / view / "unet.onnx")[:SHORT] for view in VIEWS}
    for part in chosen.only or NEEDS:
        if missing := [f"--{option}" for option in NEEDS[part] if getattr(chosen, option) is None]:
            tqdm.write(f"{part} is left out: it needs {' and '.join(missing)}.")
            continue
        load = host()["load_before"]
        measured = measure[part]()
        result = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}  # now: another run may add its part meanwhile
        result[part] = measured
        result.setdefault("measured", {})[part] = {"weights": weights, "load_before": load}
        result |= {"machine": host(), "runtime": runtime.name, "steps": ours.steps}
        chosen.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def _held_out(shards: Path, most: int) -> list[Sample]:
    return _some(shards, [sample for sample in read_shards([shards]) if sample.held_out and is_spoken(sample)], most)


def _one_each(shards: Path, most: int) -> list[Sample]:
    """A held-out clip of each person."""
    people = {sample.facts["speaker"]: sample for sample in read_shards([shards]) if sample.held_out and is_spoken(sample)}
    return _some(shards, list(people.values()), most)


def _all(shards: Path, most: int) -> list[Sample]:
    return _some(shards, [sample for sample in read_shards([shards]) if is_spoken(sample)], most)


def _some(shards: Path, samples: list[Sample], most: int) -> list[Sample]:
    """At most so many, evenly from all of them."""
    if not samples:
        raise UserError(f"{shards} has no clip to judge in which something is said.")
    return spread(samples, most)


if __name__ == "__main__":
    run_tool(main)
