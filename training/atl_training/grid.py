"""Track the GRID corpus (or any folder of clips with one face): 68 landmarks a frame and 16 kHz sound, one npz a clip.

    python -m atl_training.grid --clips DIR --out DIR

GRID: Cooke, Barker, Cunningham, Shao, J. Acoust. Soc. Am. 120, 2006; CC BY 4.0. A clip that can't be used is named and
skipped.
"""
import argparse
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_face.detect import FaceTracker
from atl_face.errors import UserError
from atl_face.media import read_audio, read_frames


def track_clip(path: Path) -> dict[str, np.ndarray]:
    """landmarks (T, 68, 3) px, audio (n,) float32 16 kHz of a clip; a lost face raises UserError."""
    frames = list(read_frames(path))
    tracker = FaceTracker()
    try:
        tracker(frames[0])  # the tracker's first answer is its detector's; its second is settled
        tracked = [tracker(frame) for frame in frames]
    finally:
        tracker.close()
    lost = sum(points is None for points in tracked)
    if lost:
        raise UserError(f"{path.name}: no face in {lost} of {len(frames)} frames.", "no_face")
    return {"landmarks": np.stack(tracked).astype(np.float32), "audio": read_audio(path)}


def _job(arguments: tuple[Path, Path]) -> str | None:
    path, out = arguments
    if out.exists():
        return None
    try:
        clip = track_clip(path)
    except UserError as error:
        return str(error)
    part = out.with_suffix(".part.npz")
    np.savez(part, **clip)
    part.rename(out)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder of video files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the npz files")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in arguments.clips.iterdir() if p.suffix in (".mp4", ".mpg", ".avi", ".mov", ".mkv"))
    jobs = [(path, arguments.out / f"{path.stem}.npz") for path in paths]
    with Pool(arguments.workers) as pool:
        skipped = [said for said in tqdm(pool.imap_unordered(_job, jobs), total=len(jobs)) if said]
    print(f"{len(jobs) - len(skipped)} clips tracked, {len(skipped)} skipped")
    print(*skipped, sep="\n")


if __name__ == "__main__":
    main()
