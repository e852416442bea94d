"""Strangers' portraits and silence, sound to frames: figures of docs/results.md that no film of the same person can give.

    python -m atl_training.evaluate --grid SHARDS --portraits DIR --out docs/results.json

What is drawn is judged by mediapipe, which also finds the portrait's landmarks (but draws nothing): a second opinion is
dlib's face embedding. Portraits are the held-out ones (`splits.held_out`), which no training saw; so are the impostors, and
the GRID clip (of `atl-corpus load`) whose sound they all say. dlib's floor is the distance of the portrait to itself, blurred by
a pixel.
"""
import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.portrait import Portrait, default_portrait_path, load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_evaluation.baselines import WarpOnly
from atl_evaluation.metrics import motion, statistics
from atl_evaluation.metrics.identity import Embedder, embeddings, floor_of, identity
from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_face.topology import is_closed, lip_gap
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.shards import read_shards
from atl_training.splits import held_out
from atl_training.tool import run_tool
from atl_training.ways import draw

HEIGHT_PX = 512
IMPOSTORS = 20
EVERY = 3  # every third frame is embedded: neighbours are alike, and the embedding is the slowest part


def followed(driven: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """How a lip gap (T,) that is seen follows the one that drove it, under the names of docs/results.json."""
    return {"r": motion.correlation(driven, seen), "amplitude": motion.gap_amplitude(driven, seen)}


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.mean_of([row[key] for row in rows]), 3) for key in rows[0]} | {"clips": len(rows)}


def on_portraits(renderers: dict[str, FaceRenderer], model: SpeechModel, portraits: list[Portrait], sound: np.ndarray,
                 embed: Embedder, impostors: np.ndarray) -> dict:  # fmt: skip
    """People that no training saw, driven by a real recording: lips that follow, identity that stays, frame that stays."""
    rows: dict[str, list[dict[str, float]]] = {}
    for portrait in tqdm(portraits, desc="portraits"):
        points = [f.points for f in landmarks_of(sound, portrait.neutral, model)]
        own, floor = embeddings(embed, [portrait.picture])[0], floor_of(embed, portrait.picture)
        if not np.isfinite(own).all():
            continue  # dlib sees no face in the portrait
        for name, renderer in renderers.items():
            frames = draw(renderer, portrait, points)
            row = followed(lip_gap(np.stack(points)), lip_gap(track(frames)))
            outside = np.ones(portrait.picture.shape[:2], bool)
            outside[portrait.region] = portrait.feather[..., 0] == 0
            row["outside_untouched"] = float(np.mean([np.array_equal(f[outside], portrait.picture[outside])
                                                      for f in frames]))  # fmt: skip
            figures = identity(own, embeddings(embed, frames[::EVERY]), impostors)
            row |= {"same_person": figures["identity_verified"] / 100, "floor": floor, "distance": figures["identity_distance"],
                    "nearest_impostor": figures["impostor_nearest"],
                    "impostors_pass": figures["impostors_verified"] / 100}  # fmt: skip
            rows.setdefault(name, []).append(row)
    return {name: mean_of(values) for name, values in rows.items()}


def in_silence(renderer: FaceRenderer, model: SpeechModel, portrait: Portrait, seconds: float = 30.0) -> dict:
    """Digital silence, and a quiet room: the share of frames with a closed mouth, and the blinks that go on."""
    result = {}
    room = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE)) * 10 ** (-55 / 20)
    for name, sound in (("digital silence", np.zeros_like(room)), ("room noise at -55 dBFS", room)):
        made = landmarks_of(sound.astype(np.float32), portrait.neutral, model)
        seen = track(draw(renderer, portrait, [f.points for f in made]))
        result[name] = {
            "closed_landmarks": round(float(is_closed(lip_gap(np.stack([f.points for f in made]))).mean()), 4),
            "closed_seen": round(float(is_closed(lip_gap(seen)).mean()), 4),
            "blinks_a_minute": round(motion.blink_rate(seen), 1),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=Path, required=True, help="GRID as shards: its first held-out clip is what is said")
    parser.add_argument("--portraits", type=Path, required=True, help="folder of pictures of strangers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--renderer", type=Path, help="folder with another renderer than the shipped")
    parser.add_argument("--speech", type=Path, help="another landmark network (.onnx) than the shipped")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    model = SpeechModel(path=arguments.speech)
    renderers = {"ours": FaceRenderer(OpenVinoRuntime(2, folder=arguments.renderer), steps=arguments.steps),
                 "warp only": FaceRenderer(WarpOnly())}  # fmt: skip
    said = next((sample.audio for sample in read_shards([arguments.grid]) if sample.held_out), None)
    if said is None:
        raise UserError(f"{arguments.grid} has no held-out clip, so there is nothing to say.")
    pictures = [p for p in sorted(arguments.portraits.glob("*.jpg")) if held_out(p.stem)]
    strangers = [load_portrait(p, HEIGHT_PX) for p in pictures[: arguments.people]]
    embed = Embedder()
    impostors = embeddings(embed, (load_portrait(p, HEIGHT_PX).picture for p in pictures[arguments.people :]))
    impostors = impostors[np.isfinite(impostors[:, 0])][:IMPOSTORS]
    result = {
        "portraits": on_portraits(renderers, model, strangers, said, embed, impostors),
        "silence": in_silence(renderers["ours"], model, load_portrait(default_portrait_path(), HEIGHT_PX)),
        "runtime": renderers["ours"].runtime.name, "steps": arguments.steps, "impostors": len(impostors),
    }  # fmt: skip
    arguments.out.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_tool(main)
