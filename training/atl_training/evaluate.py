"""Figures of the whole way, sound to frames, as the issue asks for them; ground truth and baselines in the same table.

    python -m atl_training.evaluate --grid SHARDS --portraits DIR --out docs/results.json

What is drawn is judged by mediapipe, which also finds the portrait's landmarks (but draws nothing): a second opinion is
dlib's face embedding. GRID clips (loaded by `atl-corpus load`) and portraits are the held-out ones (`splits.held_out`), which
no training saw; so are the impostors. dlib's floor is the distance of the portrait to itself, blurred by a pixel.
"""
import argparse
import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.portrait import Portrait, default_portrait_path, fit_portrait, load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_evaluation.baselines import WarpOnly
from atl_evaluation.metrics import motion
from atl_evaluation.metrics.identity import Embedder, embeddings, floor_of, identity
from atl_evaluation.metrics.tracking import track
from atl_face.stream import SAMPLE_RATE
from atl_face.topology import is_closed, lip_gap
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import landmarks_of
from atl_training.shards import Sample, read_shards
from atl_training.splits import held_out
from atl_training.tool import run_tool
from atl_training.ways import draw

HEIGHT_PX = 512
IMPOSTORS = 20
EVERY = 3  # every third frame is embedded: neighbours are alike, and the embedding is the slowest part


def followed(driven: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """`motion.follows` under the names of docs/results.json, and the share of frames with a face."""
    figures = motion.follows(driven, seen)
    return {"r": figures["gap_correlation"], "amplitude": figures["gap_amplitude"], "lag": figures["gap_lag"],
            "seen": float(np.isfinite(seen).mean())}  # fmt: skip


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(motion.mean_of([row[key] for row in rows]), 3) for key in rows[0]} | {"clips": len(rows)}


def on_grid(renderers: dict[str, FaceRenderer], model: SpeechModel, clips: list[Sample]) -> dict:
    """Held-out GRID clips, the clip's first frame as portrait: drawn against the real lips, and against the driving ones."""
    rows: dict[str, list[dict[str, float]]] = {}
    for clip in tqdm(clips, desc="GRID"):
        first, real = clip.frames()[0], clip.arrays["landmarks"]
        portrait = fit_portrait("grid", first, real[0].astype(np.float64), (first.shape[0], first.shape[1]))
        made = landmarks_of(clip.audio, portrait.neutral, model)[: len(real)]
        points = [f.points for f in made]
        real = real[: len(points)]
        rows.setdefault("landmarks against real", []).append(followed(lip_gap(real), lip_gap(np.stack(points))))
        for name, renderer in renderers.items():
            seen = lip_gap(track(draw(renderer, portrait, points)))
            rows.setdefault(f"{name}: frames against real", []).append(followed(lip_gap(real), seen))
            rows.setdefault(f"{name}: frames against driving", []).append(followed(lip_gap(np.stack(points)), seen))
            # the real motion through the renderer: what it loses when the landmarks are right
            true_points = [portrait.transform.to_crop(p) for p in real]
            seen = lip_gap(track(draw(renderer, portrait, true_points)))
            rows.setdefault(f"{name}: redrawn from real landmarks, against real", []).append(followed(lip_gap(real), seen))
    return {name: mean_of(values) for name, values in rows.items()}


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
    parser.add_argument("--grid", type=Path, required=True, help="GRID as shards")
    parser.add_argument("--portraits", type=Path, required=True, help="folder of pictures of strangers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--renderer", type=Path, help="folder with another renderer than the shipped")
    parser.add_argument("--speech", type=Path, help="another landmark network (.onnx) than the shipped")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    model = SpeechModel(path=arguments.speech)
    renderers = {"ours": FaceRenderer(OpenVinoRuntime(2, folder=arguments.renderer), steps=arguments.steps),
                 "warp only": FaceRenderer(WarpOnly(), covers_teeth=False)}  # fmt: skip
    clips = list(islice((sample for sample in read_shards([arguments.grid]) if sample.held_out), arguments.clips))
    pictures = [p for p in sorted(arguments.portraits.glob("*.jpg")) if held_out(p.stem)]
    strangers = [load_portrait(p, HEIGHT_PX) for p in pictures[: arguments.people]]
    embed = Embedder()
    impostors = embeddings(embed, (load_portrait(p, HEIGHT_PX).picture for p in pictures[arguments.people :]))
    impostors = impostors[np.isfinite(impostors[:, 0])][:IMPOSTORS]
    result = {
        "grid": on_grid(renderers, model, clips),
        "portraits": on_portraits(renderers, model, strangers, clips[0].audio, embed, impostors),
        "silence": in_silence(renderers["ours"], model, load_portrait(default_portrait_path(), HEIGHT_PX)),
        "runtime": renderers["ours"].runtime.name, "steps": arguments.steps, "impostors": len(impostors),
    }  # fmt: skip
    arguments.out.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_tool(main)
