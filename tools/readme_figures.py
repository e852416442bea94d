"""Write the figures in README.md from what was measured: `python3 tools/readme_figures.py`.

Reads the JSON files in docs/ (tools/results_page.py tells which command wrote which, docs/sync.json is sync.judge's). The table
stands between the two comments BEGIN and END and is written whole. Of the sentences behind it those that `quoted` tells get their
figures; their words are README.md's, and are to be changed in both.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "README.md"
BEGIN, END = "<!-- figures: tools/readme_figures.py writes them -->\n", "<!-- end of the figures -->\n"
CLIPS, LANDMARKS, RENDERER = (f"`atl_training.{name}`" for name in ("results", "landmarks.report", "renderer.report"))
POSED, TRUE = "{} from sound, true head pose", "ours from true landmarks"
OURS, HELD = POSED.format("ours"), "warp only from true head pose, still mouth"
STRANGERS, GRID = "grid_strangers", "GRID: clips of one real man that no training saw"
SYNTHETIC = "synthetic people that no training saw"


def _read(name: str) -> dict:
    return json.loads((ROOT / "docs" / f"{name}.json").read_text())


def _percent(share: float) -> int:
    return round(100 * share)


def _short(number: float, digits: int = 2) -> str:
    """Without the 0 before the point."""
    return f"{number:.{digits}f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.{digits}f}"


def _lips(told: dict) -> str:
    """r and amplitude of the lip gap of a set's frames from sound, ours and the warp's."""
    ours, warp = (told["rows"][POSED.format(who)] for who in ("ours", "warp only"))
    return "r {:.3f} ({:.3f} to {:.3f}), amplitude {:.2f} (warp only: r {:.3f}, amplitude {:.2f})".format(
        *ours["gap_correlation"], ours["gap_amplitude"][0], warp["gap_correlation"][0], warp["gap_amplitude"][0])  # fmt: skip


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
    heard, true = (landmarks["sync"]["rows"][name]["lse_c"][0] for name in ("sound, true head pose", "true landmarks"))
    judged = _read("sync")["filmed"]
    found = "{:.1f} % ({:.1f} to {:.0f} %)".format(*(100 * v for v in judged["planted"]["whole clip"]["share_within_a_frame"]))
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
        ("lip gap of frames made from sound, in the true head's pose, against the real man's, all "
         f"{renderer['clips']} held-out GRID clips", _lips(renderer), RENDERER),
        (f"the same, film of {clips[STRANGERS]['people']} people of whom nothing was trained on", _lips(clips[STRANGERS]),
         CLIPS),
        (f"lip gap of the landmarks that sound gives against the one real man's, {landmarks['grid']['clips']} held-out GRID "
         "clips; mouth distance (M-LMD) below mean motion's",
         f"r {grid['face at rest']['gap_r'][0]:.3f}; {grid['face at rest']['below_mean_motion']:.0f} % from a face at rest, "
         f"{grid['first frame']['below_mean_motion']:.0f} % from the clip's first frame", LANDMARKS),
        ("sync expert's confidence of frames from sound and of frames from the true landmarks, same renderer, "
         f"{landmarks['sync']['clips']} GRID clips (the man it was trained on; the scale of our motion was chosen on GRID's "
         "held-out clips)",
         f"{heard:.3f} and {true:.3f}: {sync:.1f} % ({low:.1f} to {high:.1f} %), of which more isn't better (below)", LANDMARKS),
        ("lips that move in noise, music, hum or tones, in % of speech",
         f"at most {noise:.1f} %; crowds talking {crowds['mean']:.0f} % in the mean of 24, "
         f"{crowds['of_speech']:.0f} % in the worst",
         LANDMARKS),
        (f"lip gap of frames against the landmarks that drove them, {people} strangers' portraits",
         f"{lips.format(**alike)} (warp only: {lips.format(**portraits['rows']['warp only'])})", RENDERER),
        ("a clip made offline from sound, and drawn again from the landmarks of its live replay (`atl compare`)",
         "the same frames to the bit", "`atl evaluate`, `atl replay`"),
        (f"sync expert: planted offsets found within one frame, {judged['clips']} unseen GRID clips of 3 s", found,
         "`atl_training.sync.judge`"),
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


def quoted() -> dict[str, list[str]]:
    """Sentences of "What it can't do yet", {} for a figure, and their figures."""
    clips, renderer, landmarks, arms = _read("clips")["sets"], _read("renderer"), _read("landmarks"), _read("renderer_arms")
    bench, robot, paper = _read("bench"), _read("bench-avx2"), arms["paper"]
    strangers, grid = clips[STRANGERS]["rows"], clips[GRID]["rows"]
    speeds = [clips[name]["rows"][way]["m_lvd"][0] for name in (STRANGERS, SYNTHETIC, GRID) for way in (OURS, HELD)]
    draft, turned = landmarks["draft"]["rules"], renderer["turns"]["turns"][-1]
    closed = [row["closures"]["closed"] for row in (
        draft["rows"]["ours"], draft["unseen"]["rows"]["ours"], draft["read"]["rows"]["ours"],
        landmarks["grid"]["face at rest"]["ours"])]  # fmt: skip
    crowds, gains = landmarks["robustness"]["no_speech"]["babble"], renderer["folder"]["gains"]["true landmarks"]
    verified = {way: row["identity_verified"] for way, row in turned["rows"].items()}
    sharp = [rows[way]["sharpness_mouth"][0] for way in (TRUE, "still portrait") for rows in (strangers, grid)]

    def better(name: str, key: str) -> float:
        """dB of an arm above the base, mean over the sets."""
        packs = arms["budget"]["packs"]
        a, b = (arms["arms"][arm]["figures"] for arm in (name, "base"))
        return sum(a[pack]["1"][key] - b[pack]["1"][key] for pack in packs) / len(packs)

    return {
        "they move with r {} as he truly moved": [_short(strangers[OURS]["gap_correlation"][0])],
        "(mouth PSNR {} and {} dB)": [f"{strangers[way]['psnr_mouth'][0]:.1f}" for way in (OURS, HELD)],
        "(M-LVD {} and {} % there, {} and {} % on synthetic people; {} and {} % on GRID's one man)": [_short(v) for v in speeds],
        "confidence {} from sound, {} from the true landmarks": [_short(strangers[way]["lse_c"][0]) for way in (OURS, TRUE)],
        "In our ablation ({} steps) guided noise, uniform noise and none are within {} dB (the mouth {} better without); the "
        "warp does the work ({} dB)": [str(arms["budget"]["steps"]),
                                  _short(max(abs(better(f"noise-{arm}", "net_db")) for arm in ("uniform", "none")), 1),
                                  _short(better("noise-none", "net_mouth_db"), 1), f"{-better('no-warp', 'net_db'):.0f}"],
        "are shut for /m b p/ in {} % of the frames": [f"{closed[0]:.0f}"],
        "synthetic voices that none heard {} %, readers whom none heard {} %": [f"{share:.0f}" for share in closed[1:3]],
        "film of the one man {} %)": [f"{closed[3]:.0f}"],
        "lip gap is followed at r {}, synthetic voices' at {}.": [_short(draft[part]["rows"]["ours"]["gap_r"][0])
                                                                  for part in ("read", "unseen")],
        "it moves {} % as much as to speech in the mean of 24, {} % in the worst": [f"{crowds['mean']:.0f}",
                                                                                  f"{crowds['of_speech']:.0f}"],
        "draws {} frames a second, {} with AVX-512 switched off": [f"{b['renderer']['fps']:.0f}" for b in (bench, robot)],
        "({} dB, {} to {}, at the mouth; {} dB, {} to {}, in all;": [
            _short(v) for key in ("psnr_mouth", "psnr") for v in gains[key]],
        "{} of the truth's, {} for GRID's one man; the still portrait's {} and {}": [_short(v) for v in sharp],
        "{} % are verified there ({} to {} %; {} frames of {} clips), of the true frames {} % (of the warp alone {} %)": [
            f"{verified[TRUE][0]:.0f}", *(f"{v:.0f}" for v in verified[TRUE][1:]), str(turned["frames"]), str(turned["clips"]),
            *(f"{verified[way][0]:.0f}" for way in ("ground truth", "warp only from true landmarks"))],
        "{} minutes of a core are {} steps": [f"{60 * paper['figures']['1']['core_hours']:.0f}",
                                              str(paper["figures"]["1"]["steps_trained"])],
    }  # fmt: skip


def filled(text: str, sentence: str, figures: list[str]) -> str:
    """The text with these figures in the sentence, whose lines may break anywhere. Raises ValueError unless it is there once."""
    pattern = r"(-?\d*\.?\d+)".join(r"\s+".join(map(re.escape, part.split(" "))) for part in sentence.split("{}"))
    found = list(re.finditer(pattern, text))
    if len(found) != 1 or found[0].re.groups != len(figures):
        raise ValueError(f"README.md should say once, with {len(figures)} figures: {sentence}")
    for number, figure in reversed(list(enumerate(figures, 1))):
        start, end = found[0].span(number)
        text = text[:start] + figure + text[end:]
    return text


def document() -> str:
    """README.md with the table and the sentences as they should be."""
    before, rest = TARGET.read_text().split(BEGIN)
    _, after = rest.split(END)
    lines = ["| what | figure | by |", "|---|---|---|", *(f"| {what} | {figure} | {by} |" for what, figure, by in rows())]
    for sentence, figures in quoted().items():
        after = filled(after, sentence, figures)
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


if __name__ == "__main__":
    TARGET.write_text(document())
