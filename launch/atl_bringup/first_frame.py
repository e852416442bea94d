"""A renderer in a process of its own, for `atl bench`: `python -m atl_bringup.first_frame BEGAN_S THREADS`.

BEGAN_S: `time.monotonic()` of the process that starts this one, just before. Prints a JSON object: milliseconds from there to
the first frame and of every part of it; MB at the peak after FRAMES more; and what a photo costs that no one has seen before.
"""

import io
import json
import sys
import time

FRAMES = 200
PHOTOS = 5  # after the first, which loads the detector


def peak_mb() -> int:
    """Resident memory of this process at its peak; getrusage would tell that of the process which started it."""
    with open("/proc/self/status") as status:
        return round(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3 * 1.024)


def main() -> None:
    clock = [float(sys.argv[1]), time.monotonic()]

    def lap() -> float:
        clock.append(time.monotonic())
        return round(1e3 * (clock[-1] - clock[-2]), 1)

    result = {"python_ms": round(1e3 * (clock[1] - clock[0]), 1)}
    # here, for they are timed
    from atl_diffusion_node.portrait import default_portrait_path, load_portrait
    from atl_diffusion_node.process import prepare_process
    from atl_diffusion_node.renderer import FaceRenderer
    from atl_diffusion_node.runtime import OpenVinoRuntime

    prepare_process()
    result["imports_ms"] = lap()
    portrait = load_portrait(default_portrait_path(), 512)
    result["portrait_ms"] = lap()
    renderer = FaceRenderer(OpenVinoRuntime(int(sys.argv[2])))
    result["runtime_ms"] = lap()
    renderer.set_identity(portrait)
    result["identity_ms"] = lap()
    renderer.render(portrait.neutral)
    result["frame_ms"] = lap()
    result["total_ms"] = round(1e3 * (clock[-1] - clock[0]), 1)
    for _ in range(FRAMES):
        renderer.render(portrait.neutral)
    result["rss_mb"] = peak_mb()
    result["photos"] = new_photos(renderer)
    result["rss_with_detector_mb"] = peak_mb()
    print(json.dumps(result))


def new_photos(renderer) -> list[dict[str, float]]:
    """Milliseconds to read a photo and find its face, and of set_identity: the first in this process, then PHOTOS more; none
    without mediapipe. The photo is the shipped portrait, mirrored, as a JPEG: its landmarks aren't known beforehand."""
    from PIL import Image, ImageOps

    from atl_diffusion_node.portrait import default_portrait_path, load_portrait
    from atl_face.errors import UserError

    file, rows = io.BytesIO(), []
    ImageOps.mirror(Image.open(default_portrait_path())).save(file, "JPEG", quality=92)
    for _ in range(1 + PHOTOS):
        begun = time.monotonic()
        try:
            portrait = load_portrait(file.getvalue(), 512)
        except UserError as error:
            if error.code != "no_mediapipe":
                raise
            break
        found = time.monotonic()
        renderer.set_identity(portrait)
        rows.append({"find_ms": 1e3 * (found - begun), "identity_ms": 1e3 * (time.monotonic() - found)})
        renderer.render(portrait.neutral)
    return rows


if __name__ == "__main__":
    main()
