"""`atl render`: a clip from a recording and a portrait, offline, by the cores that the nodes run."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_bringup.arguments import int_between
from atl_diffusion_node.portrait import MAX_HEIGHT_PX, default_portrait_path, load_portrait
from atl_diffusion_node.process import prepare_process
from atl_diffusion_node.renderer import STEPS, FaceRenderer
from atl_diffusion_node.runtime import DEVICES, make_runtime
from atl_face.emotion import LABELS, Expression
from atl_face.files import clip_to_write
from atl_face.media import ClipWriter, read_audio
from atl_face.stream import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE
from atl_landmark_node.kflm import KflmModel, kflm_landmarks_of
from atl_landmark_node.model import STYLES, SpeechModel
from atl_landmark_node.stream import LandmarkFrame, landmarks_of

# how sound becomes landmarks: the network, and the function that runs it over a whole sound
LANDMARKS = {"stream": (SpeechModel, landmarks_of), "kflm": (KflmModel, kflm_landmarks_of)}
HEIGHT_LIMIT_PX = 1080  # of the clip unless --max-height asks for more: what a screen shows and two cores can draw


def add_parser(subparsers) -> None:
    """Adds `render` to the `atl` command."""
    parser = subparsers.add_parser("render", description=__doc__)
    parser.add_argument("--audio", type=Path, required=True, help="any sound or video file")
    parser.add_argument("--portrait", type=Path, default=default_portrait_path(),
                        help="picture of one face (default: the shipped synthetic one)")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="the clip to write, .mp4")
    parser.add_argument("--seed", type=int_between(0), default=0, help="of guide noise, blinks and head motion")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--steps", type=int_between(1, 8), default=STEPS, help="network evaluations a frame")
    parser.add_argument("--emotion", choices=LABELS, default="neutral")
    parser.add_argument("--articulation", choices=STYLES, default="real", help="whose lip motion (default: %(default)s)")
    parser.add_argument("--landmarks", choices=tuple(LANDMARKS), default="stream",
                        help="which network: the paper's, kflm, hears the whole sound first, so that the live node has "
                             "stream only (default: %(default)s)")  # fmt: skip
    parser.add_argument("--network", type=Path, help="the landmark network (.onnx) of your own training (default: the shipped)")
    parser.add_argument("--max-height", type=int_between(128, MAX_HEIGHT_PX), default=HEIGHT_LIMIT_PX, metavar="PX",
                        help=f"tallest clip (default: %(default)s, at most {MAX_HEIGHT_PX})")  # fmt: skip
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Renders; prints one JSON line: frames, seconds of clip, frames per second, ms per frame and stage."""
    prepare_process()
    arguments.out = clip_to_write(arguments.out, arguments.audio, arguments.portrait)  # now, not after the work
    started = time.perf_counter()
    load_model, make_landmarks = LANDMARKS[arguments.landmarks]
    model = load_model(arguments.articulation, arguments.network)
    sound = read_audio(arguments.audio)
    portrait = load_portrait(arguments.portrait, limit=arguments.max_height)
    renderer = FaceRenderer(make_runtime(arguments.device), arguments.seed, arguments.steps)
    renderer.set_identity(portrait)
    set_up_s = time.perf_counter() - started

    started = time.perf_counter()
    frames = make_landmarks(sound, portrait.neutral, model, arguments.seed, Expression(arguments.emotion))
    stage_s = {"landmarks": time.perf_counter() - started}
    stage_s |= write_clip(arguments.out, portrait.picture.shape, sound, frames, renderer)
    drawing_s = sum(stage_s.values())
    print(json.dumps({
        "out": str(arguments.out), "frames": len(frames), "seconds": round(len(frames) / FRAME_RATE, 2),
        "width": portrait.picture.shape[1], "height": portrait.picture.shape[0],
        "fps": round(len(frames) / drawing_s, 1), "setup_s": round(set_up_s, 2), "runtime": renderer.runtime.name,
        "ms_per_frame": {name: round(1e3 * seconds / len(frames), 2) for name, seconds in stage_s.items()},
    }))  # fmt: skip
    return 0


def write_clip(path: Path, shape: tuple[int, ...], sound: np.ndarray, frames: list[LandmarkFrame],
               renderer: FaceRenderer) -> dict[str, float]:  # fmt: skip
    """Draw and write all frames with their sound; returns the seconds that each stage took."""
    stage_s = dict.fromkeys(("warp", "guide", "network", "paste", "encode"), 0.0)
    with ClipWriter(path, (shape[1], shape[0]), FRAME_RATE, SAMPLE_RATE) as clip:
        for frame in tqdm(frames, unit="frame", file=sys.stderr, desc=path.name):
            picture = renderer.render(frame.points)
            before = time.perf_counter()
            clip.write_frame(picture)
            clip.write_audio(sound[frame.index * FRAME_SAMPLES:(frame.index + 1) * FRAME_SAMPLES])
            stage_s["encode"] += time.perf_counter() - before
            for name in ("warp", "guide", "network", "paste"):
                stage_s[name] += getattr(renderer.times, name) / 1e3
    return stage_s
