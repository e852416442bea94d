"""Write the table of figures in README.md from what was measured: `python3 tools/readme_figures.py`.

Reads the JSON files in docs/ (tools/results_page.py tells which command wrote which); EXPERT is copied by
hand, and so are the words around the figures. The table stands between the two comments BEGIN and END.
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "README.md"
BEGIN, END = "<!-- figures: tools/readme_figures.py writes them -->\n", "<!-- end of the figures -->\n"
CLIPS, LANDMARKS, RENDERER = (f"`atl_training.{name}`" for name in ("results", "landmarks.report", "renderer.report"))
SOUND = "{} from sound alone"
EXPERT = "98.9 % (96.6 to 100 %)"  # its card: atl_evaluation/atl_evaluation/data/README.md
STRANGERS, GRID = "grid_strangers", "GRID: clips of one real man that no training saw"


def _read(name: str) -> dict:
    return json.loads((ROOT / "docs" / f"{name}.json").read_text())


def _percent(share: float) -> int:
    return round(100 * share)


def _lips(clips: dict) -> str:
    """r and amplitude of the lip gap of a set's frames from sound, ours and the warp's."""
    ours, warp = (clips["rows"][SOUND.format(who)] for who in ("ours", "warp only"))
    return "r {:.3f}, amplitude {:.2f} (warp only: r {:.3f}, amplitude {:.2f})".format(
        *(row[key][0] for row in (ours, warp) for key in ("gap_correlation", "gap_amplitude")))  # fmt: skip


def _graph(seen: dict, more: str = "") -> str:
    figures = "{dropped} frames dropped, {display[frames_late]} late{more}; p95 {latency[p95_ms]:.1f} ms"
    return figures.format(**seen, more=more)


def rows() -> list[tuple[str, str, str]]:
    """(what, figure, command)."""
    bench, robot, clips, report = _read("bench"), _read("bench-avx2"), _read("clips")["sets"], _read("renderer")
    landmarks, renderer, portraits = _read("landmarks"), report["grid"], report["portraits"]
    start, drawn = bench["start"], bench["renderer"]
    grid = {portrait: landmarks["grid"][portrait]["ours"] for portrait in ("face at rest", "first frame")}
    sync, low, high = landmarks["sync"]["of_true"]
    silence = report["silence"]["digital silence"]
    quiet = landmarks["robustness"]["no_speech"]
    crowds = quiet["babble"]
    noise = max(row["of_speech"] for name, row in quiet.items() if name != "babble")
    mouth = {name: renderer["rows"][name] for name in
             ("still portrait", "warp only from true landmarks", "ours from true landmarks")}  # fmt: skip
    still, warp, ours = (row["psnr_mouth"][0] for row in mouth.values())
    square = [row["psnr"][0] for row in mouth.values()]
    alike, people = portraits["rows"]["ours"], portraits["people"]
    lips = "r {r[0]:.3f}, amplitude {amplitude[0]:.3f}"
    return [
        ("renderer, 512×512 frames (the face's crop drawn at 128 px and its mouth at 256 px a crop), two threads of an "
         f"{bench['machine']['processor']}, one of the slower",
         f"{drawn['fps']} frames/s, p99 {drawn['p99_ms']:.1f} ms; with AVX-512 switched off {robot['renderer']['fps']} frames/s",
         "`atl bench`, `--avx2`"),
        ("process start to first frame; a new photo; memory",
         f"{start['total_ms']:.0f} ms; {start['new_photo_ms']:.0f} ms; {start['rss_mb']} MB", "`atl bench`"),
        (f"the renderer ({drawn['runtime']}) against a 3D U-Net of the paper's size, in the same run",
         f"{drawn['vs_paper_torch']:.0f} x eager torch, {drawn['vs_paper_runtime']:.0f} x OpenVINO bf16 (speed alone; its "
         "weights are random)", "`atl bench --reference`"),
        (f"whole graph in real time, {bench['graph']['seconds']:.0f} s",
         _graph(bench["graph"], " at the display") + " from the last sample needed to the frame", "`atl bench --seconds 20`"),
        ("the same with one WebRTC viewer", _graph(bench["graph_with_viewer"]), "`atl bench --viewer --seconds 20`"),
        (f"the same without viewer, AVX-512 switched off, {robot['graph']['seconds']:.0f} s", _graph(robot["graph"]),
         "`atl bench --avx2 --seconds 15`"),
        (f"lip gap of frames made from sound alone against the real man's, {clips[GRID]['clips']} held-out GRID clips",
         _lips(clips[GRID]), CLIPS),
        (f"the same, film of {clips[STRANGERS]['people']} people of whom nothing was trained on", _lips(clips[STRANGERS]),
         CLIPS),
        (f"lip gap of the landmarks that sound gives against the one real man's, {landmarks['grid']['clips']} held-out GRID "
         "clips; mouth distance (M-LMD) below mean motion's",
         f"r {grid['face at rest']['gap_r'][0]:.3f}; {grid['face at rest']['below_mean_motion']:.0f} % from a face at rest, "
         f"{grid['first frame']['below_mean_motion']:.0f} % from the clip's first frame", LANDMARKS),
        (f"sync expert's confidence of frames from sound, in % of frames from the true landmarks, same renderer, "
         f"{landmarks['sync']['clips']} GRID clips (the man it was trained on; the scale of our motion was chosen on GRID's "
         "held-out clips)", f"{sync:.1f} % ({low:.1f} to {high:.1f} %)", LANDMARKS),
        ("lips that move in noise, music, hum or tones, in % of speech",
         f"at most {noise:.1f} %; crowds talking {crowds['mean']:.0f} % in the mean of 24, "
         f"{crowds['of_speech']:.0f} % in the worst",
         LANDMARKS),
        (f"lip gap of frames against the landmarks that drove them, {people} strangers' portraits",
         f"{lips.format(**alike)} (warp only: {lips.format(**portraits['rows']['warp only'])})", RENDERER),
        ("a clip made offline from sound, and drawn again from the landmarks of its live replay (`atl compare`)",
         "the same frames to the bit", "`atl evaluate`, `atl replay`"),
        ("sync expert: planted offsets found within one frame, 89 unseen GRID clips of 3 s", EXPERT, "`atl_training.sync.judge`"),
        ("mouth shut in silence (frames, as mediapipe sees them)",
         "{} %, {:.0f} blinks a minute".format(_percent(silence["closed_seen"]), silence["blinks_a_minute"]),
         RENDERER),
        (f"same person as the portrait (dlib, distance ≤ 0.38), {people} strangers",
         f"{alike['identity_verified'][0]:.0f} % of frames; {alike['impostors_verified'][0]:.0f} % of "
         f"{portraits['impostors']} impostors pass", RENDERER),
        (f"frames from true landmarks, all {renderer['clips']} held-out GRID clips, 128 px square of the face: mouth PSNR of "
         "still portrait, warp only, ours",
         f"{still:.1f}, {warp:.1f}, {ours:.1f} dB; whole square {square[2]:.1f} dB (warp {square[1]:.1f})",
         RENDERER),
        ("flicker of still skin there, share of the true mouth's motion",
         f"{renderer['steady']['flicker_ratio'][0]:.2f} of the truth's; {_percent(renderer['steady']['gap_amplitude'][0])} %",
         RENDERER),
    ]  # fmt: skip


def document() -> str:
    """README.md with the table as it should be."""
    before, rest = TARGET.read_text().split(BEGIN)
    _, after = rest.split(END)
    lines = ["| what | figure | by |", "|---|---|---|", *(f"| {what} | {figure} | {by} |" for what, figure, by in rows())]
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


if __name__ == "__main__":
    TARGET.write_text(document())
