"""Does the sync expert deserve trust? Planted offsets, and what it says of clips that are known to be better and worse.

    python -m atl_training.sync.judge --grid grid_shards --corpus corpus --out judged.json

On held-out clips alone; landmarks are the detector's throughout. `planted`: the sound is moved by -8 .. +8 frames, once in a clip
of its own length (silence fills the gap) and once in its middle, 16 frames shorter, where all that is heard was recorded. `ways`:
confidence, distance and |offset| of the truth, of the truth with the next clip's sound, of the still portrait, and, where the
clip was filmed, of frames that the project's renderer drew from its first one: from the true landmarks, from the landmark
network's, and from a jaw that follows the loudness. Means over clips with 95 % bootstrap intervals. `weights`: SHA-256 of the
networks that ship, and of --expert.
"""
import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_evaluation.metrics.tracking import track
from atl_evaluation.provenance import models, sha256_of
from atl_evaluation.sync import SyncExpert, SyncScore, mouth_crops
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import SPEECH
from atl_landmark_node.face_model import PortraitFace
from atl_landmark_node.model import SpeechModel
from atl_training.figures import spread, with_interval
from atl_training.landmarks.judge import energy_jaw
from atl_training.shards import Sample, read_shards, share_alike
from atl_training.tool import run_tool
from atl_training.ways import FROM_SOUND, FROM_TRUE, Clip, draw

PLANTED = 8  # frames either way, 320 ms
SETS = "filmed", "drawn"
NEAR = 1  # frame: an offset counts as found
TRUTH, SHUFFLED = "ground truth", "ground truth, another clip's sound"


def moved(sound: np.ndarray, frames: int) -> np.ndarray:
    """Sound that comes `frames` earlier (+: the picture is late), as long as before: silence fills the gap."""
    shift = frames * FRAME_SAMPLES
    gap = np.zeros(abs(shift), sound.dtype)
    return np.concatenate([sound[shift:], gap] if shift >= 0 else [gap, sound[:shift]])


def planted(expert: SyncExpert, crops: np.ndarray, sound: np.ndarray) -> dict[str, np.ndarray]:
    """Errors (2 PLANTED + 1,) in frames of the offsets that are found, by how they were planted."""
    found: dict[str, list[int]] = {"whole clip": [], "middle": []}
    inner = crops[PLANTED: len(crops) - PLANTED]
    for late in range(-PLANTED, PLANTED + 1):
        found["whole clip"].append(expert.score_crops(crops, moved(sound, late)).offset - late)
        heard = sound[(PLANTED + late) * FRAME_SAMPLES: (PLANTED + late + len(inner)) * FRAME_SAMPLES]
        found["middle"].append(expert.score_crops(inner, heard).offset - late)
    return {name: np.array(errors) for name, errors in found.items()}


def drawn(clip: Clip, renderer: FaceRenderer, model: SpeechModel) -> Iterator[tuple[str, np.ndarray]]:
    """Names and frames that the renderer draws from a clip's first frame."""
    points = clip.points(model)
    face, frames = PortraitFace(clip.portrait.neutral), len(clip.frames)
    weights = np.zeros((frames, 52))
    weights[:, SPEECH] = energy_jaw(clip.sound, frames)
    jaw = np.stack([face.points(w) for w in weights])
    for name, chosen in (("renderer from true landmarks", points[FROM_TRUE]),
                         ("renderer from the landmark network", points[FROM_SOUND]),
                         ("renderer from an energy-driven jaw", jaw)):  # fmt: skip
        yield name, draw(renderer, clip.portrait, chosen)


def judge(expert: SyncExpert, samples: list[Sample], draws: tuple[FaceRenderer, SpeechModel] | None, most_drawn: int) -> dict:
    """Figures of one set of clips; `draws` None: nothing is drawn."""
    offsets: dict[str, list[np.ndarray]] = {}
    ways: dict[str, list[SyncScore]] = {}
    for number, (sample, other) in enumerate(zip(tqdm(samples), samples[1:] + samples[:1], strict=True)):
        clip = Clip.of(sample)
        seen = track(clip.frames)
        crops = mouth_crops(clip.frames, seen)
        for name, errors in planted(expert, crops, clip.sound).items():
            offsets.setdefault(name, []).append(errors)
        scores = {TRUTH: expert.score_crops(crops, clip.sound), SHUFFLED: expert.score_crops(crops, other.audio),
                  "still portrait": expert.score_crops(np.repeat(crops[:1], len(crops), axis=0), clip.sound)}  # fmt: skip
        if draws and number < most_drawn:
            for name, frames in drawn(clip, *draws):
                crops = mouth_crops(frames, track(frames))
                scores[name] = expert.score_crops(crops, clip.sound)
                scores[f"{name}, another clip's sound"] = expert.score_crops(crops, other.audio)
        for name, score in scores.items():
            ways.setdefault(name, []).append(score)
    truth = np.array([score.confidence for score in ways[TRUTH]])
    return {"clips": len(samples), "planted": {name: _found(errors) for name, errors in offsets.items()},
            "ways": {name: _row(scores, truth) for name, scores in ways.items()}}  # fmt: skip


def _found(errors: list[np.ndarray]) -> dict:
    near = np.array([np.abs(e) <= NEAR for e in errors])  # clips, offsets
    return {"share_within_a_frame": with_interval(near.mean(1)), "share_exact": with_interval([np.mean(e == 0) for e in errors]),
            "worst_offset_share": round(float(near.mean(0).min()), 4),
            "mean_error_frames": with_interval([e.mean() for e in errors])}  # fmt: skip


def _row(scores: list[SyncScore], truth: np.ndarray) -> dict:
    confidence = np.array([score.confidence for score in scores])
    less = truth[: len(scores)] - confidence
    told = {"confidence": confidence, "distance": [score.distance for score in scores],
            "abs_offset": [abs(score.offset) for score in scores], "below_truth": less}  # fmt: skip
    return ({"clips": len(scores)} | {name: with_interval(values) for name, values in told.items()}
            | {"share_below_truth": round(float(np.mean(less > 0)), 4)})  # fmt: skip


def table(result: dict) -> str:
    """The result in words and columns."""
    lines = []
    for name in filter(result.get, SETS):
        of_set = result[name]
        lines.append(f"{name}: {of_set['clips']} clips")
        for way, row in of_set["planted"].items():
            share, exact = np.array(row["share_within_a_frame"], float), row["share_exact"][0]  # an end of None is NaN
            lines.append(f"  planted offsets, {way}: {share[0]:.1%} within a frame ({share[1]:.1%} to {share[2]:.1%}), "
                         f"{exact:.1%} exact")  # fmt: skip
        lines.append(f"  {'':60}{'confidence':>24}{'distance':>10}{'|offset|':>10}{'below truth':>12}")
        for way, row in of_set["ways"].items():
            mean, low, high = np.array(row["confidence"], float)
            interval = f"{mean:.3f} ({low:.3f} to {high:.3f})"
            lines.append(f"  {way:60}{interval:>24}{row['distance'][0]:>10.3f}{row['abs_offset'][0]:>10.2f}"
                         f"{row['share_below_truth']:>12.0%}")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=Path, help="GRID as shards")
    parser.add_argument("--corpus", type=Path, help="the studio's clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, help="of each set; all held-out ones by default")
    parser.add_argument("--drawn", type=int, default=20, help="of GRID that are drawn anew (%(default)s)")
    parser.add_argument("--expert", type=Path, help="another expert (.onnx) than the shipped")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    expert, result = SyncExpert(arguments.expert), {"weights": models()}
    if arguments.expert:
        result["weights"]["expert"] = sha256_of(arguments.expert)
    draws = FaceRenderer(OpenVinoRuntime(1)), SpeechModel()
    for name, shards in zip(SETS, (arguments.grid, arguments.corpus), strict=True):
        if shards is None:
            continue
        held = [s for s in read_shards([shards]) if s.held_out and s.video is not None and not share_alike(s.facts)
                and s.facts["text"]]  # a few of the studio's people say nothing: there is no offset to find
        result[name] = judge(expert, spread(held, arguments.clips or 0), draws if name == "filmed" else None, arguments.drawn)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    run_tool(main)
