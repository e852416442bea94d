"""Write docs/results.md from the figures that were measured: `python3 tools/results_page.py`.

Reads docs/clips.json (atl_training.results), docs/bag.json (tools/results_bag.py),
docs/bench.json and docs/bench-avx2.json (atl bench), and, where they are, docs/landmarks.json (atl_training.landmarks.report),
docs/landmark_arms.json, docs/kflm_arms.json (atl_training.landmarks.arms), docs/landmark_oracle.json
(atl_training.landmarks.oracle), docs/renderer.json (atl_training.renderer.report) and
docs/renderer_arms.json (atl_training.renderer.arms), docs/renderer_losses.json (atl_training.renderer.loss_arms); adds nothing.
"""

import json
from pathlib import Path

from landmark_arms_page import comparisons
from landmarks_page import landmarks_section
from renderer_arms_page import arms_section
from renderer_losses_page import losses_section
from renderer_page import renderer_section
from tables import spread, table

DOCS = Path(__file__).resolve().parent.parent / "docs"
TARGET = DOCS / "results.md"

INTRODUCTION = """# Results

Made by `tools/results_page.py` from [clips.json](clips.json), [bag.json](bag.json),
{landmarks}[bench.json](bench.json) and [bench-avx2.json](bench-avx2.json), which the
commands below wrote (`make results` runs all but the benchmarks' and the compared trainings'). Machines like this one:
{processor}, {cores} cores, no GPU; they aren't all equally fast.

The networks by themselves, on held-out data and beside their baselines: model cards of
[sound to landmarks](../atl_landmark_node/atl_landmark_node/data/README.md) and of the
[renderer](../atl_diffusion_node/atl_diffusion_node/data/README.md).
"""

SETS = """
## Clips made anew

`python -m atl_training.results --clips {clips} --set NAME SHARDS ... --out docs/clips.json` (what `make results` runs, with 20
clips a set). Held-out clips in which something is said: their first frame is the portrait (and isn't judged); they are made anew
from the true landmarks, from the sound with the head held as it truly was (mouth and jaw alone move), and from the sound alone.
Means over clips with 95 % bootstrap intervals (percentiles; of 8 normal values such an interval holds the true mean in about
88 % of the cases, not in 95). Boxes are `atl_face.topology.face_box` and `mouth_box` around the true landmarks (of film: the
mean of four looks, `atl_training.loaders.looks`), pixels those of the set's pictures. Landmarks of frames are mediapipe's:
the row "ground truth" is the detector's own floor (of film, one look against the mean of four). What each column is: [the
catalogue](../atl_evaluation/atl_evaluation/metrics/catalogue.py). |lag| and |sync offset| are mean sizes: early in one clip
and late in the next isn't in step. Sync is judged by [our own expert](../atl_evaluation/atl_evaluation/data/README.md) and
not comparable with published LSE.

**Not Inception's, not LPIPS's:** "perceptual mouth" is on features of a VGG-16 tuned for edges (HED); "Fréchet" and "kernel" are
computed as FID and KID are, but on features of EfficientNet-Lite0, over the squares around the faces. None of them is comparable
with published figures. They take every 5th frame; Fréchet's is biased upwards by so few pictures, the same in every row. Their
row "ground truth" is other frames of the same films: the floor. Both are of the whole set and have no interval.

Identity is dlib's embedding, every 5th frame: verified is a distance of at most 0.38 to the portrait. Impostors are the other
people of the set: the share of pairs of a frame and such a one's picture that pass, and the least distance of any.
"""

SET = """
### {name}: {clips} clips

Pictures of {picture} px, in which the face's crop is about {crop_px} px wide. {people}
"""

BESIDE = """
Speed of the lips (M-LVD, %), of ours from sound in the true head's pose and of the still mouth in it: {speeds}. Where
ours isn't lower, the lips' speed is no nearer to the true one than if they stayed shut.

Sync confidence of ours from sound in that pose and from the true landmarks: {confidences}. **More isn't better:** frames from
sound can have more than those from the true landmarks, and than the film itself, though their lips follow the true ones worse
(lip-gap r): the expert looks for a mouth that fits the sound, not for this man's.
"""

GAINED = """
{name}: ours from sound in the true head's pose less the still mouth in it, paired by clip.
"""

BAG = """
## A bag of the live graph

`.venv/bin/atl-python tools/results_bag.py FOLDER`: the graph says the shipped speech and is recorded (`atl record`: {seconds} s,
{mb} MB); the bag's frames are made again without ROS (`atl evaluate`: **{offline[verdict]}**, {offline[conditions_passed]} of
{offline[conditions]} conditions; one is on live figures) and its sound goes through a live graph once more (`atl replay`:
**{live[verdict]}**, {live[conditions_passed]} of {live[conditions]}). Both runs draw again what was driven: {count} frames
from the sound, {live_count} from the landmarks that the live graph made, {same}; whether each was also drawn live tells
"dropped". Load of the machine before the replay: {load}.
"""

SPEED = """
## Speed

`atl bench --viewer --reference --seconds {seconds:.0f} --json docs/bench.json` and `atl bench --avx2 --seconds
{avx2_seconds:.0f} --json docs/bench-avx2.json` (AVX-512 and bfloat16 switched off for OpenVINO, OpenCV and NumPy, as on a robot).
**Machines that call themselves AMD EPYC differ by half and more, and runs on one do, too**: at commit 7776a75 the renderer
drew 61.3 frames/s here while the reference drew as much as now, and 57.1 without AVX-512. Since then a view takes .3 ms less,
as its inputs stay in place (throwaway script); the rest of the difference is the machine's. The landmark stage's real-time
factor is from 0.011 to 0.017 here from one run to the next (`bench.bench_landmarks`, ten runs); before it computed in bfloat16
it was from 0.018 to 0.033.
"In turns" is measured minutes after the figures above it, between other runtimes' frames, so that its rows compare with one
another alone: the same network is slower there. How much of that is the others' doing a trial could not tell from the
machine's changes (throwaway script: 46.9 frames/s alone, 42.7 in turns of all five).
Latency: from the arrival of the last sample that a frame needs (its 40 ms and 80 ms of look-ahead) to the arrival of the
frame. The viewer's decoder runs on the same two cores.
"""

REFERENCE = """
A 3D U-Net of the paper's size ({of[params_m]} M parameters, {of[gflop_per_frame]} GFLOP a frame at {of[pixels]} px in
{of[steps]} steps, random weights; `--reference`), timed between our frames in the same run: {of[torch][fps]} frames/s in
eager torch ({of[torch][name]}), {of[runtime][fps]} in {of[runtime][name]}. The renderer with everything around its network is
**{ours[vs_paper_torch]} x** and **{ours[vs_paper_runtime]} x** as fast. That says nothing about pictures.
"""

START = """
A process of its own, from its start to the first frame: **{total_ms:.0f} ms** (python {python_ms:.0f}, imports
{imports_ms:.0f}, portrait {portrait_ms:.0f}, compiling the networks {runtime_ms:.0f}, `set_identity` {identity_ms:.0f}, frame
{frame_ms:.0f}; medians of {starts}, files in the system's cache). Its memory at the peak after 200 frames: **{rss_mb} MB**, and
{rss_with_detector_mb} MB with mediapipe, which finds the face in a new photo and is loaded with the first. (That photo: the
shipped portrait mirrored, a JPEG of 1024x1024 px.)
"""

COLUMNS = (
    {"PSNR face, dB": "psnr_face", "PSNR mouth, dB": "psnr_mouth", "SSIM face": "ssim_face", "SSIM mouth": "ssim_mouth",
     "sharpness mouth": "sharpness_mouth", "flicker": "flicker"},
    {"perceptual mouth (HED-VGG)": "perceptual_hed_vgg_mouth", "Fréchet face (EfficientNet)": "frechet_efficientnet",
     "kernel face (EfficientNet)": "kernel_efficientnet", "identity distance": "identity_distance",
     "verified, %": "identity_verified", "impostors that pass, %": "impostors_verified", "nearest impostor": "impostor_nearest"},
    {"M-LMD, %": "m_lmd", "F-LMD, %": "f_lmd", "M-LVD, %": "m_lvd", "lip-gap r": "gap_correlation", "amplitude": "gap_amplitude",
     "|lag|": "abs_gap_lag", "sync confidence": "lse_c", "sync distance": "lse_d", "|sync offset|": "abs_sync_offset",
     "blinks/min": "blink_rate", "jerk": "jerk"},
)  # fmt: skip
PAIRED = {"M-LMD, %": "m_lmd", "M-LVD, %": "m_lvd", "PSNR mouth, dB": "psnr_mouth"}
POSED, HELD, DRIVEN = "ours from sound, true head pose", "warp only from true head pose, still mouth", "ours from true landmarks"
BAG_ROWS = {"lip-gap r": "gap_correlation", "amplitude": "gap_amplitude", "|lag|": "gap_lag", "M-LMD, %": "m_lmd",
            "F-LMD, %": "f_lmd", "M-LVD, %": "m_lvd", "sync confidence": "lse_c", "sync distance": "lse_d",
            "|sync offset|": "sync_offset", "flicker": "flicker", "blinks/min": "blink_rate"}  # fmt: skip
PERCENTILES = ("p50_ms", "p95_ms", "p99_ms", "max_ms")


def sets(figures: dict) -> str:
    """Three tables for each set of clips: pixels, likeness and identity, motion and synchronisation."""
    parts = []
    for name, told in figures.items():
        parts.append(SET.format(**told | {"name": name, "people": people(told)}))
        for columns in COLUMNS:
            rows = [[f"**{way}**" if way.startswith("ours") else way, *(spread(row.get(key)) for key in columns.values())]
                    for way, row in told["rows"].items()]  # fmt: skip
            parts.append(table(["", *columns], rows))
        if gains := told.get("gains"):
            parts += [GAINED.format(name=name), table(list(PAIRED), [[spread(gains[key]) for key in PAIRED.values()]])]
    return "\n".join(parts)


def beside(figures: dict) -> str:
    """What the tables of sets say of speed and sync, in words."""

    def means(key: str, *ways: str) -> list[str]:
        return [" and ".join(spread([told["rows"][way][key][0], None, None]) for way in ways) for told in figures.values()]

    speeds = [f"{pair} ({name})" for name, pair in zip(figures, means("m_lvd", POSED, HELD), strict=True)]
    confidences = [f"{pair} (r {r}; {name})" for name, pair, r in zip(
        figures, means("lse_c", POSED, DRIVEN), means("gap_correlation", POSED, DRIVEN), strict=True)]  # fmt: skip
    return BESIDE.format(speeds="; ".join(speeds), confidences="; ".join(confidences))


def people(told: dict) -> str:
    """Whether there are impostors, and of how many pictures distances of sets are."""
    count = told["people"]
    who = "One person: nobody is there to be taken for, so nothing is said of impostors." if count == 1 else f"{count} people."
    return f"{who} Distances of sets: {told['pictures']} pictures."


def bag(figures: dict) -> str:
    """What a recorded bag gave: its frames beside the baselines, and the live graph that it was played into."""
    offline, live = figures["offline"], figures["live"]
    same = "the same to the bit" if offline["frames"]["sha256"] == live["frames"]["sha256"] else "not all the same"
    parts = [BAG.format(**figures["record"], offline=offline, live=live, count=offline["frames"]["count"],
                        live_count=live["frames"]["count"], same=same, load=figures["host"]["load_before"])]  # fmt: skip
    head = ["offline, against the landmarks that drove the frames", "ours", *list(offline["metrics"]["gap_correlation"])[1:]]
    rows = [[text, *(spread([cell, None, None]) for cell in offline["metrics"][name].values())]
            for text, name in BAG_ROWS.items() if name in offline["metrics"]]  # fmt: skip
    parts.append(table(head, rows))
    seen = live["live"]
    timed = {"last sample needed to the frame": seen["latency"],
             "last sample needed to the landmarks": seen["stages"]["landmark"],
             "landmarks to the frame": seen["stages"]["diffusion"], "sound-to-picture skew": seen["skew"]}  # fmt: skip
    parts.append(table(["replayed live, ms", *(key[:-3] for key in PERCENTILES)],
                       [[name, *(row.get(key) for key in PERCENTILES)] for name, row in timed.items()]))  # fmt: skip
    shown = "{frames_shown} / {frames_late}".format(**seen["display"])
    memory = sum(node["rss_mb"] for node in seen["nodes"].values())
    cells = [round(seen["seconds"], 1), *seen["rates_hz"].values(), seen["dropped"], shown, seen["cpu_percent_all"], memory]
    head = ["seconds", *(f"{topic}/s" for topic in seen["rates_hz"]), "dropped after 1 s", "shown / late", "CPU % of a core",
            "RSS of all nodes, MB"]  # fmt: skip
    parts.append(table(head, [cells]))
    return "\n".join(parts)


def bench(title: str, figures: dict) -> str:
    """One machine's (or instruction set's) tables."""
    renderer, landmark = figures["renderer"], figures["landmark"]
    views = " px and the mouth at ".join(f"{width}x{height}" for height, width in renderer["network_px"])
    parts = [f"\n### {title}\n", (
        f"Renderer alone ({renderer['runtime']}, {renderer['steps']} evaluation, 512x512 frames; a crop of "
        f"{renderer['crop_px']} px, drawn at {renderer['drawn_at_px']} px; the network draws it at "
        f"{views} px): **{renderer['fps']} frames/s**, p99 {renderer['p99_ms']} ms; "
        f"`set_identity` {renderer['set_identity_ms']} ms. Landmark stage: p50 {landmark['p50_ms']} ms, p99 "
        f"{landmark['p99_ms']} ms per 40 ms, real-time factor {landmark['real_time_factor']} on one core.\n")]  # fmt: skip
    if "reference" in figures:
        parts.append(REFERENCE.format(of=figures["reference"], ours=renderer))
    parts.append(table(["ms a frame", "p50", "p95", "p99", "max"],
                       [[name, *(row[k] for k in PERCENTILES)] for name, row in renderer["stages"].items()]))  # fmt: skip
    if "start" in figures:
        parts.append(table(["renderer, whole, in turns", "frames/s", "p50, ms", "p99, ms"], [
            [name, row["fps"], row["p50_ms"], row["p99_ms"]] for name, row in figures["precisions"].items()]))  # fmt: skip
        parts.append(START.format(**figures["start"]))
        parts.append(table(["what", "asked", "is", "met"], [[*list(row.values())[:3], "yes" if row["met"] else "**no**"]
                                                            for row in figures["asked"]]))  # fmt: skip
    runs = {"display:=none": figures.get("graph"), "with one WebRTC viewer": figures.get("graph_with_viewer")}
    runs = {name: run for name, run in runs.items() if run}
    head = ["whole graph", "seconds", "frames", "dropped after 1 s", "shown / late", *(f"latency {k[:-3]}" for k in PERCENTILES),
            "CPU % of a core"]  # fmt: skip
    parts.append(table(head, [
        [name, run["seconds"], run["frames"], run["dropped"],
         f"{run['display']['frames_shown']} / {run['display']['frames_late']}", *(run["latency"][k] for k in PERCENTILES),
         run["cpu_percent_all"]] for name, run in runs.items()]))  # fmt: skip
    nodes = next(iter(runs.values()))["nodes"]
    head = ["node", *(f"{what}, {name}" for name in runs for what in ("CPU %", "RSS MB"))]
    rows = [[node, *(run["nodes"][node][k] for run in runs.values() for k in ("cpu_percent", "rss_mb"))] for node in nodes]
    parts.append(table(head, rows))
    return "\n".join(parts)


def document() -> str:
    """The whole of docs/results.md."""
    files = ("clips", "bag", "bench", "bench-avx2")
    clips, recorded, native, avx2 = (json.loads((DOCS / f"{name}.json").read_text()) for name in files)
    more = ("landmarks", "landmark_arms", "kflm_arms", "landmark_oracle", "renderer", "renderer_arms", "renderer_losses")
    maybe = {name: DOCS / f"{name}.json" for name in more}
    found = {name: json.loads(path.read_text()) for name, path in maybe.items() if path.exists()}
    named = "".join(f"[{name}.json]({name}.json), " for name in found)
    return "\n".join([
        INTRODUCTION.format(**native["machine"], landmarks=named),
        SETS.format(clips=max(told["clips"] for told in clips["sets"].values())),
        beside(clips["sets"]), sets(clips["sets"]),
        landmarks_section(found.get("landmarks", {}), found.get("kflm_arms", [])),
        comparisons(found.get("landmark_arms", []), found.get("kflm_arms", []), found.get("landmark_oracle", {})),
        renderer_section(found.get("renderer", {})), arms_section(found.get("renderer_arms", {})),
        losses_section(found.get("renderer_losses", {})), bag(recorded),
        SPEED.format(seconds=native["graph"]["seconds"], avx2_seconds=avx2["graph"]["seconds"]),
        bench("As the processor is", native), bench("Without AVX-512", avx2),
    ])  # fmt: skip


if __name__ == "__main__":
    TARGET.write_text(document())
