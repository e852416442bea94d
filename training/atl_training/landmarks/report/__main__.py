"""Measure everything that is asked of the landmark stage, as the runtime runs it.

    python -m atl_training.landmarks.report --draft SHARDS --grid SHARDS --speech-folder DIR --out docs/landmarks.json

The draft's held-out clips have people and sentences that no training saw, some of them voices that none did; GRID's are a real
man's clips held out by clip. `--part` measures some parts anew and keeps the others of the file; `measured` tells by part with
which weights, and how busy the machine was before. tools/landmarks_page.py makes tables of it.
"""
import argparse
import json
from pathlib import Path

from tqdm import tqdm

from atl_evaluation.provenance import host, sha256_of
from atl_face.errors import UserError
from atl_landmark_node.kflm import default_path
from atl_training.corpus.assets import default_cache
from atl_training.figures import spread
from atl_training.landmarks.report.clips import SHIPPED, DraftClip, Stage, is_spoken
from atl_training.landmarks.report.continuity import continuity
from atl_training.landmarks.report.emotions import emotions, example_of, is_strong
from atl_training.landmarks.report.lip_sync import lip_sync
from atl_training.landmarks.report.on_draft import on_draft
from atl_training.landmarks.report.on_grid import on_grid
from atl_training.landmarks.report.on_people import on_people
from atl_training.landmarks.report.paper import Paper
from atl_training.landmarks.report.robustness import read_speech, robustness
from atl_training.landmarks.report.speed import speed
from atl_training.landmarks.report.teeth import Teeth
from atl_training.shards import Sample, read_shards
from atl_training.tool import run_tool

PARTS = ("draft", "people", "grid", "sync", "robustness", "emotions", "continuity", "speed")
SHORT = 12  # hex digits of a network's SHA-256 that tell it from others
OF_DRAFT = ("draft", "people", "robustness", "emotions", "continuity", "speed")  # parts that need its clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draft", type=Path, nargs="+", required=True, help="shards of the studio's")
    parser.add_argument("--grid", type=Path, nargs="+", required=True, help="GRID as shards, with its words aligned")
    parser.add_argument("--looks", type=Path, nargs="+", help="the same, looked at four times (`loaders.looks`): for the sync "
                        "expert, by what the renderer is judged by, too (default: as --grid)")  # fmt: skip
    parser.add_argument("--speech-folder", type=Path, help="folder of real speech (.flac, .wav), for the robustness")
    parser.add_argument("--speech", type=Path, default=SHIPPED, help="another landmark network (.onnx) than the shipped")
    parser.add_argument("--kflm", type=Path, help="the paper's network (.onnx), beside ours (default: the shipped, if any)")
    parser.add_argument("--clips", type=int, default=0, help="held-out clips of each set at most (0: all)")
    parser.add_argument("--sync-clips", type=int, default=12, help="drawn for the sync expert (%(default)s)")
    parser.add_argument("--heard", type=int, default=16, help="clips and recordings of the other parts, each (%(default)s)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this; may be repeated")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="parsed face assets")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; parts that aren't measured stay as they are")
    chosen = parser.parse_args()
    parts = chosen.part or PARTS
    result = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    stage, others, weights = Stage(chosen.speech), {}, {"ours": sha256_of(chosen.speech)[:SHORT]}
    paper = chosen.kflm or default_path()
    if chosen.kflm or paper.is_file():
        others, weights["kflm"] = {"kflm": Paper(paper)}, sha256_of(paper)[:SHORT]
    measured = {"draft": lambda: on_draft(stage, clips, _teeth(chosen.cache), others),
                "people": lambda: on_people(stage, clips),
                "grid": lambda: on_grid(stage, films, others),
                "sync": lambda: lip_sync(stage, spread(looked, chosen.sync_clips)),
                "robustness": lambda: robustness(stage, clips, recordings, chosen.heard),
                "emotions": lambda: emotions(stage, examples, clips, chosen.heard),
                "continuity": lambda: continuity(stage, heard),
                "speed": lambda: speed(chosen.speech, [clip.sound for clip in heard])}  # fmt: skip
    recordings = read_speech(chosen.speech_folder, chosen.heard) if chosen.speech_folder else []
    clips, examples = _read_draft(chosen, "emotions" in parts) if set(parts) & set(OF_DRAFT) else ([], [])
    heard = spread(clips, chosen.heard)
    films = _read_films(chosen.grid, chosen.clips) if "grid" in parts else []
    looked = _read_films(chosen.looks or chosen.grid, chosen.clips) if "sync" in parts else []
    for part in parts:
        load = host()["load_before"]
        result[part] = measured[part]()
        used = weights if part in ("draft", "grid") else {"ours": weights["ours"]}
        result.setdefault("measured", {})[part] = {"weights": used, "load_before": load}
        result["machine"] = host()
        chosen.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def _read_draft(chosen: argparse.Namespace, with_examples: bool) -> tuple[list[DraftClip], list]:
    """The held-out clips, and the training people's emotions."""
    clips, examples = [], []
    for sample in tqdm(read_shards(chosen.draft), desc="draft"):
        if sample.held_out and is_spoken(sample):
            clips.append(DraftClip.of(sample))
        elif with_examples and not sample.held_out and is_strong(sample.facts["emotion"], sample.facts["level"]):
            examples.append(example_of(sample))
    if not clips:
        raise UserError(f"{chosen.draft[0]} has no held-out clip in which something is said.")
    return spread(clips, chosen.clips), examples


def _read_films(shards: list[Path], most: int) -> list[Sample]:
    films = spread([sample for sample in read_shards(shards) if sample.held_out and is_spoken(sample)], most)
    if not films:
        raise UserError(f"{shards[0]} has no held-out clip.")
    return films


def _teeth(cache: Path) -> Teeth | None:
    try:
        return Teeth(cache)
    except UserError as error:
        print(f"/f v/ is left out: {error}")
        return None


if __name__ == "__main__":
    run_tool(main)
