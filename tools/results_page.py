"""Write docs/results.md from the figures that were measured: `python3 tools/results_page.py`.

Reads docs/results.json (atl_training.evaluate), docs/clips.json (atl_training.results), docs/bench.json and
docs/bench-avx2.json (atl bench); adds nothing.
"""

import json
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
TARGET = DOCS / "results.md"

INTRODUCTION = """# Results

Made by `tools/results_page.py` from [results.json](results.json), [clips.json](clips.json), [bench.json](bench.json) and
[bench-avx2.json](bench-avx2.json), which the commands below wrote. One machine: {processor}, {cores} cores, no GPU.

The networks by themselves, on held-out data and beside their baselines: model cards of
[sound to landmarks](../atl_landmark_node/atl_landmark_node/data/README.md) and of the
[renderer](../atl_diffusion_node/atl_diffusion_node/data/README.md).

## The whole way, sound to frames

`python -m atl_training.evaluate --clips {clips} --people {people} …`. Runtime {runtime}, {steps} evaluation a frame. Lip gaps of
frames are what mediapipe sees in them; amplitude is the ratio of standard deviations, lag in frames (40 ms, + is late).

Held-out GRID clips (the only real video; the clip's first frame is the portrait, its sound the speech):
"""

SETS = """
## Clips made anew

`python -m atl_training.results --clips {clips} --set NAME SHARDS ... --out docs/clips.json` (what `make results` runs, with 20
clips a set). Held-out clips in which something is said: their first frame is the portrait, and they are made anew from the
true landmarks, from the sound with the head held as it truly was (mouth and jaw alone move), and from the sound alone.
Means over clips with 95 % bootstrap intervals. Boxes are `atl_face.topology.face_box` and `mouth_box` around the true
landmarks, pixels those of the set's pictures. Landmarks of frames are mediapipe's: the row "ground truth" is the detector's
own floor. What each column is: [the catalogue](../atl_evaluation/atl_evaluation/metrics/catalogue.py). Sync is judged by
[our own expert](../atl_evaluation/atl_evaluation/data/README.md) and not comparable with published LSE.
"""

SET = """
### {name}: {clips} clips

Pictures of {picture} px, in which the face's crop is about {crop_px} px wide.
"""

PORTRAITS = """
Portraits that no training saw (official portraits, grey, 200x250 px, most of them smiling with teeth), driven by a held-out
recording. Verified: dlib's distance to the portrait is at most 0.38; a frame in which it sees no face counts as failed. Floor:
the portrait's distance to itself, blurred by a pixel.
"""

SILENCE = """
Silence, the shipped portrait, 30 s each:
"""

SPEED = """
## Speed

`atl bench --viewer --reference --seconds {seconds:.0f} --json docs/bench.json` and `atl bench --avx2 --seconds
{avx2_seconds:.0f} --json docs/bench-avx2.json` (AVX-512 switched off for OpenVINO, OpenCV and NumPy, float32: as on a robot).
Latency: from the arrival of the last sample that a frame needs (its 40 ms and 80 ms of look-ahead) to the arrival of the
frame. The viewer's decoder runs on the same two cores.
"""

REFERENCE = """
A 3D U-Net of the paper's size ({of[params_m]} M parameters, {of[gflop_per_frame]} GFLOP a frame at {of[pixels]} px in
{of[steps]} steps, random weights; `--reference`), timed between our frames in the same run: {of[torch][fps]} frames/s in
eager torch ({of[torch][name]}), {of[runtime][fps]} in {of[runtime][name]}. The renderer with everything around its network is
**{ours[vs_paper_torch]} x** and **{ours[vs_paper_runtime]} x** as fast. That says nothing about pictures.
"""

GRID_ROWS = {
    "landmarks against real": "landmarks against real",
    "ours: frames against real": "**frames against real**",
    "ours: frames against driving": "frames against the landmarks that drove them",
    "ours: redrawn from real landmarks, against real": "redrawn from real landmarks, against real",
    "warp only: frames against real": "warp only: frames against real",
    "warp only: frames against driving": "warp only: frames against the landmarks that drove them",
    "warp only: redrawn from real landmarks, against real": "warp only: redrawn from real landmarks, against real",
}
PORTRAIT_COLUMNS = {
    "lip-gap r against driving": "r", "amplitude": "amplitude", "outside the feather untouched": "outside_untouched",
    "verified": "same_person", "mean distance": "distance", "floor": "floor", "nearest of the impostors": "nearest_impostor",
    "impostors that pass": "impostors_pass", "people": "clips",
}  # fmt: skip


PICTURE_COLUMNS = {"PSNR face, dB": "psnr_face", "PSNR mouth, dB": "psnr_mouth", "SSIM face": "ssim_face",
                   "SSIM mouth": "ssim_mouth", "sharpness mouth": "sharpness_mouth", "flicker": "flicker",
                   "identity distance": "identity_distance"}  # fmt: skip
MOTION_COLUMNS = {"M-LMD, %": "m_lmd", "F-LMD, %": "f_lmd", "M-LVD, %": "m_lvd", "lip-gap r": "gap_correlation",
                  "amplitude": "gap_amplitude", "lag": "gap_lag", "sync confidence": "lse_c", "sync distance": "lse_d",
                  "sync offset": "sync_offset", "blinks/min": "blink_rate", "jerk": "jerk"}  # fmt: skip


def sets(figures: dict) -> str:
    """Two tables for each set of clips: pictures, and motion with synchronisation."""
    parts = []
    for name, told in figures.items():
        parts.append(SET.format(name=name, **told))
        for columns in (PICTURE_COLUMNS, MOTION_COLUMNS):
            rows = [[f"**{way}**" if way.startswith("ours") else way, *(spread(row[key]) for key in columns.values())]
                    for way, row in told["rows"].items()]  # fmt: skip
            parts.append(table(["", *columns], rows))
    return "\n".join(parts)


def spread(figure: list[float | None]) -> str | None:
    """A mean with its 95 % interval."""
    mean, low, high = figure
    if mean is None:
        return None
    digits = 1 if abs(mean) >= 10 else 2 if abs(mean) >= 1 else 3
    return f"{mean:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f}..{high:.{digits}f})")


def table(head: list[str], rows: list[list[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join("–" if cell is None else str(cell) for cell in line) + " |" for line in lines) + "\n"


def grid(figures: dict) -> str:
    rows = [["ground truth", 1, 1, 0, None], ["still portrait", 0, 0, None, None]]
    rows += [[text, *(figures[name][k] for k in ("r", "amplitude", "lag", "clips"))] for name, text in GRID_ROWS.items()]
    return table(["lip gap", "r", "amplitude", "lag", "clips"], rows)


def portraits(figures: dict) -> str:
    rows = [[name, *(row.get(key) for key in PORTRAIT_COLUMNS.values())] for name, row in figures.items()]
    return table(["", *PORTRAIT_COLUMNS], rows)


def silence(figures: dict) -> str:
    rows = [[name, row["closed_landmarks"], row["closed_seen"], row["blinks_a_minute"]] for name, row in figures.items()]
    return table(["", "mouth closed (landmarks)", "mouth closed (seen)", "blinks a minute"], rows)


def bench(title: str, figures: dict) -> str:
    """One machine's (or instruction set's) tables."""
    renderer, landmark = figures["renderer"], figures["landmark"]
    parts = [f"\n### {title}\n", (
        f"Renderer alone ({renderer['runtime']}, {renderer['steps']} evaluation, 512x512 frames; a crop of "
        f"{renderer['crop_px']} px, drawn at {renderer['drawn_at_px']} px, {renderer['network_px'][1]}x"
        f"{renderer['network_px'][0]} px of it by the networks): **{renderer['fps']} frames/s**, p99 {renderer['p99_ms']} ms; "
        f"`set_identity` {renderer['set_identity_ms']} ms. Landmark stage: p50 {landmark['p50_ms']} ms, p99 "
        f"{landmark['p99_ms']} ms per 40 ms, real-time factor {landmark['real_time_factor']} on one core.\n")]  # fmt: skip
    if "reference" in figures:
        parts.append(REFERENCE.format(of=figures["reference"], ours=renderer))
    keys = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
    parts.append(table(["ms a frame", "p50", "p95", "p99", "max"],
                       [[name, *(row[k] for k in keys)] for name, row in renderer["stages"].items()]))  # fmt: skip
    runs = {"display:=none": figures.get("graph"), "with one WebRTC viewer": figures.get("graph_with_viewer")}
    runs = {name: run for name, run in runs.items() if run}
    head = ["whole graph", "seconds", "frames", "dropped after 1 s", "shown / late", *(f"latency {k[:-3]}" for k in keys),
            "CPU % of a core"]  # fmt: skip
    parts.append(table(head, [
        [name, run["seconds"], run["frames"], run["dropped"],
         f"{run['display']['frames_shown']} / {run['display']['frames_late']}", *(run["latency"][k] for k in keys),
         run["cpu_percent_all"]] for name, run in runs.items()]))  # fmt: skip
    nodes = next(iter(runs.values()))["nodes"]
    head = ["node", *(f"{what}, {name}" for name in runs for what in ("CPU %", "RSS MB"))]
    rows = [[node, *(run["nodes"][node][k] for run in runs.values() for k in ("cpu_percent", "rss_mb"))] for node in nodes]
    parts.append(table(head, rows))
    return "\n".join(parts)


def document() -> str:
    """The whole of docs/results.md."""
    files = ("results", "clips", "bench", "bench-avx2")
    results, clips_anew, native, avx2 = (json.loads((DOCS / f"{name}.json").read_text()) for name in files)
    clips = results["grid"]["landmarks against real"]["clips"]
    people = results["portraits"]["ours"]["clips"]
    return "\n".join([
        INTRODUCTION.format(clips=clips, people=people, **native["machine"], **{k: results[k] for k in ("runtime", "steps")}),
        grid(results["grid"]), SETS.format(clips=max(told["clips"] for told in clips_anew["sets"].values())),
        sets(clips_anew["sets"]), PORTRAITS, portraits(results["portraits"]), SILENCE,
        silence(results["silence"]),
        SPEED.format(seconds=native["graph"]["seconds"], avx2_seconds=avx2["graph"]["seconds"]),
        bench("As the processor is", native), bench("Without AVX-512", avx2),
    ])  # fmt: skip


if __name__ == "__main__":
    TARGET.write_text(document())
