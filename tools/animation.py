"""A clip as an animated picture for the README: `.venv/bin/atl-python tools/animation.py clip.mp4 docs/avatar.webp`."""

import sys
from pathlib import Path

from PIL import Image

from atl_face.media import read_frames

WIDTH_PX, EVERY, SECONDS = 320, 2, 6  # 12.5 frames a second of the first six seconds: under 1 MB


def animate(clip: Path, out: Path) -> None:
    """Write every second frame of the clip's beginning as a looping WebP."""
    frames = [Image.fromarray(f) for k, f in enumerate(read_frames(clip)) if k % EVERY == 0 and k < 25 * SECONDS]
    height = round(frames[0].height * WIDTH_PX / frames[0].width)
    frames = [f.resize((WIDTH_PX, height), Image.Resampling.LANCZOS) for f in frames]
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=40 * EVERY, loop=0, quality=70)


if __name__ == "__main__":
    animate(Path(sys.argv[1]), Path(sys.argv[2]))
