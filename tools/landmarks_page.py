"""The part of docs/results.md about the landmark stage, from docs/landmarks.json (atl_training.landmarks.report)."""
from tables import spread, table

OURS = "ours"
NO_SPEECH_AT_MOST = 15  # % of the lip gap's deviation on speech
NOBODYS_SPEECH = "babble"

INTRODUCTION = """
## Sound to landmarks

`python -m atl_training.landmarks.report --draft draft --grid grid_shards --speech-folder SPEECH --out docs/landmarks.json`.
The stage as it runs: its stream, its OpenVINO graph, its gate. Held-out clips; means over clips with 95 % bootstrap intervals.
Distances are in % of the distance between the outer eye corners. "Mean motion" is the mean of the judged clips' own true motion,
"nearest viseme" knows the phonemes and shows each one's static mouth, "energy jaw" opens the jaw with the loudness.

### What was asked, and what is
"""

DRAFT = """
### People and voices that no training saw: the studio's, {clips} clips moved by {how}

What speech alone does to the average face, against what it truly does. /m b p/: share of the frames in which the true lips are
closed (gap below 3 %; "strictly": 1.5 %) where ours are; "sounds": of those sounds, the ones with a closed frame; "false": closed
though the true lips are clearly open (gap above 6 %). /f v/: share of their frames in which the lower lip is at most 1 mm farther
from the upper teeth than truly, on an average head of the studio's; then the mean distance (the studio's upper teeth stand back:
its own /f/ leaves {true_mm} mm).
"""

GRID = """
### Film of a real speaker: GRID's {clips} held-out clips

The tracked landmarks, levelled onto the portrait, against the mouth that the portrait gets from the sound. "Fitted weights" is
the best that the 52 weights can do (training's targets). Phonemes by forced alignment ({aligned} of {clips} clips).
"""

SYNC = """
### Lips and sound, through the default renderer: {clips} GRID clips

The sync expert's opinion of frames drawn from each, the head held as it truly was. From our landmarks its confidence is
**{of_true} %** of that from the true ones.
"""

NO_SPEECH = """
### Sound that is no speech

The lip gap's standard deviation, in % of {usual} % of the eye distance, that on {sounds} recordings of real readers ({with_truth}
of them from the draft); all at the level of speech unless said otherwise; of several takes the worst. Aim: at most {aim} %.
Babble is six voices at once: it IS speech, and nothing in it says that none of them is the one to follow, so the aim is not held
against it.
"""

SPEECH = """
### Speech that is hard to hear

The same recordings, disturbed, against the undisturbed run; "M-LMD more" is against the truth, in percentage points.
"""

EMOTIONS = """
### Emotions

Softmax regression on a clip's mean landmarks, learnt from the true motion of {examples} clips of training people (level 3, and
neutral), asked about {true_cases} clips of held-out people and {made_cases} that our stream made of held-out sounds. Emotions
count alike. The truth is the studio's mixture of units, not film: this says that ours are told apart as those are.
"""

GAPS = """
### Gaps in the sound

Until the mouth is within 1 % of the eye distance of the run that heard everything, and stays there for two seconds; {clips}
clips, one gap of each length in each, speech going on after it.
"""

ROW = {"gap r": "gap_r", "gap r, lag ≤ 1": "gap_r_near", "amplitude": "amplitude", "lag": "lag", "M-LMD, %": "m_lmd"}
CLOSED = {"/m b p/ closed, %": "closed", "strictly": "closed_strict", "sounds": "sounds", "false": "false"}


def landmarks_section(figures: dict) -> str:
    """Markdown of the whole section; parts that weren't measured are left out."""
    parts = [INTRODUCTION, table(["", "aim", "is", ""], aims(figures))]
    for style, how in (("rules", "rules"), ("real", "a real man's replayed motion")):
        if told := figures.get("draft", {}).get(style):
            true_mm = told["rows"]["ground truth"].get("teeth", {}).get("true_mm")
            parts += [DRAFT.format(clips=told["clips"], how=how, true_mm=true_mm), motion_table(told["rows"]), voices(told)]
    if told := figures.get("grid"):
        parts.append(GRID.format(**told))
        for portrait in ("face at rest", "first frame"):
            parts += [f"Portrait: the clip's {portrait}.\n", motion_table(told[portrait])]
    if told := figures.get("sync"):
        rows = [[name, *(spread(row[key]) for key in ("lse_c", "lse_d", "offset"))] for name, row in told["rows"].items()]
        parts += [SYNC.format(clips=told["clips"], of_true=spread(told["of_true"])),
                  table(["frames drawn from", "confidence", "distance", "offset"], rows)]  # fmt: skip
    parts += hearing(figures["robustness"]) if "robustness" in figures else []
    parts += feeling(figures["emotions"]) if "emotions" in figures else []
    parts += running(figures)
    return "\n".join(parts)


def aims(figures: dict) -> list[list[object]]:
    """Rows what, aim, figure, met or not met; only of what was measured."""
    rows = []

    def aim(what: str, wanted: str, value: float | None, met: bool | None = None, unit: str = "") -> None:
        rows.append([what, wanted, None if value is None else f"{value:.3g}{unit}", "met" if met else "**not met**"])

    for style, told in figures.get("draft", {}).items():
        ours, kflm = told["rows"][OURS], told["rows"].get("kflm")
        where = f"unseen people and voices ({'rules' if style == 'rules' else 'replayed real motion'})"
        aim(f"M-LMD, {where}", "≤ 2.0 %", ours["m_lmd"][0], ours["m_lmd"][0] <= 2, " %")
        aim(f"lip-gap r, {where}", "≥ 0.9", ours["gap_r"][0], ours["gap_r"][0] >= 0.9)
        closed = ours["closures"]["closed"]
        aim(f"/m b p/ closed, {where}", "≥ 95 % of their frames", closed, closed >= 95, " %")
        if kflm:
            _beside_kflm(aim, where, ours, kflm)
    if "grid" in figures:
        _of_grid(aim, figures["grid"]["face at rest"])
    if "sync" in figures:
        share = figures["sync"]["of_true"][0]
        aim("sync confidence, GRID, of that from true landmarks", "≥ 90 %", round(share, 1), share >= 90, " %")
    if "emotions" in figures:
        ratio = figures["emotions"]["ratio"]
        aim("emotions recognised, of the share on true motion", "≥ 80 %", ratio, ratio >= 80, " %")
    if "robustness" in figures:
        no_speech = {k: v for k, v in figures["robustness"]["no_speech"].items() if k != NOBODYS_SPEECH}
        worst = max(no_speech, key=lambda name: no_speech[name]["of_speech"])
        value = no_speech[worst]["of_speech"]
        met = value <= NO_SPEECH_AT_MOST
        aim(f"lip-gap deviation without speech, worst: {worst}", f"≤ {NO_SPEECH_AT_MOST} % of speech's", value, met, " %")
        finite = all(row["finite"] for part in ("no_speech", "speech") for row in figures["robustness"][part].values())
        rows.append(["NaN in any of it", "none", "none" if finite else "some", "met" if finite else "**not met**"])
    if "continuity" in figures:
        _of_continuity(aim, figures["continuity"])
    if "speed" in figures:
        _of_speed(aim, figures["speed"])
    return rows


def _beside_kflm(aim, where: str, ours: dict, kflm: dict) -> None:
    more = round(100 * (ours["m_lmd"][0] / kflm["m_lmd"][0] - 1), 1)
    aim(f"M-LMD over that of kflm, {where}", "≤ +5 %", more, more <= 5, " %")


def _of_grid(aim, rows: dict) -> None:
    ours, others = rows[OURS], [rows[name]["m_lmd"][0] for name in ("nearest viseme", "energy jaw", "mean motion")]
    in_step = ours["gap_r_near"][0] >= 0.8 and abs(ours["lag"][0]) <= 1
    aim("lip-gap r, GRID, at lag 0 ± 1 frame", "≥ 0.8", ours["gap_r_near"][0], in_step)
    aim("M-LMD below mean motion's, GRID", "≥ 35 %", ours["below_mean_motion"], ours["below_mean_motion"] >= 35, " %")
    known = [value for value in others if value is not None]
    aim("M-LMD, GRID", f"below every baseline ({min(known):.2f} %)", ours["m_lmd"][0], ours["m_lmd"][0] < min(known), " %")
    if "kflm" in rows:
        _beside_kflm(aim, "GRID", ours, rows["kflm"])


def _of_continuity(aim, told: dict) -> None:
    difference = told["chunks"]["largest_difference"]
    aim("chunked against whole, largest difference", "≤ 1e-4", difference, difference <= 1e-4)
    worst = max(row["worst_ms"] for row in told["gaps"].values())
    aim("recovered from a gap (40 to 1000 ms), worst", "≤ 200 ms", worst, worst <= 200, " ms")
    closed = told["interrupt"]["closed_ms"]
    aim("closed after an interrupt, worst", "≤ 120 ms", closed, closed <= 120, " ms")
    step, usual = told["interrupt"]["largest_step"], told["interrupt"]["largest_step_speaking"]
    aim("largest step of the lip gap in it", f"no jump: ≤ {usual:g} %, the largest in speech", step, step <= usual, " %")


def _of_speed(aim, told: dict) -> None:
    aim("real-time factor, one thread", "≤ 0.02", told["real_time_factor"], told["real_time_factor"] <= 0.02)
    aim("a step of 40 ms, p99", "≤ 3 ms", told["p99_ms"], told["p99_ms"] <= 3, " ms")
    aim("start-up to the first frame", "≤ 0.5 s", told["start_s"], told["start_s"] <= 0.5, " s")
    aim("state", "≤ 1 MB", round(told["state_bytes"] / 1e6, 3), told["state_bytes"] <= 1e6, " MB")
    aim("weights", "≤ 15 MB", round(told["weights_bytes"] / 1e6, 1), told["weights_bytes"] <= 15e6, " MB")


def motion_table(rows: dict) -> str:
    """Figures of motion, closures and teeth, with what of them there is."""
    with_teeth = any("teeth" in row for row in rows.values())
    with_mean = any("below_mean_motion" in row for row in rows.values())
    head = ["", *ROW, *(["below mean motion, %"] if with_mean else []), *CLOSED]
    head += ["/f v/ reached, %", "mm"] if with_teeth else []
    lines = []
    for name, row in rows.items():
        line = [f"**{name}**" if name == OURS else name, *(spread(row.get(key)) for key in ROW.values())]
        line += [row["below_mean_motion"]] if with_mean else []
        line += [row.get("closures", {}).get(key) for key in CLOSED.values()]
        line += [row.get("teeth", {}).get(key) for key in ("reached", "mm")] if with_teeth else []
        lines.append(line)
    return table(head, lines)


def voices(told: dict) -> str:
    """Ours by language and by voice, those with three clips or more."""
    lines = [[name or "(said nothing)", row["clips"], spread(row["gap_r"]), spread(row["m_lmd"])]
             for kind in ("by_language", "by_voice") for name, row in told[kind].items()]  # fmt: skip
    return table(["language or voice", "clips", "gap r", "M-LMD, %"], lines) if lines else ""


def hearing(told: dict) -> list[str]:
    """Robustness: no speech, and disturbed speech."""
    heading = NO_SPEECH.format(usual=round(100 * told["gap_deviation_on_speech"], 2), sounds=told["sounds"],
                               with_truth=told["clips_with_truth"], aim=NO_SPEECH_AT_MOST)  # fmt: skip
    quiet = []
    for name, row in told["no_speech"].items():
        met = "met" if row["of_speech"] <= NO_SPEECH_AT_MOST else "**not met**"
        quiet.append([name, row["of_speech"], row["widest"], "no" if row["finite"] else "**yes**",
                      "(no aim)" if name == NOBODYS_SPEECH else met])  # fmt: skip
    loud = [[name, spread(row["gap_r"]), row["amplitude"], spread(row["distance"]), spread(row["m_lmd_change"]),
             "no" if row["finite"] else "**yes**"] for name, row in told["speech"].items()]  # fmt: skip
    return [heading, table(["sound", "deviation, % of speech's", "widest gap, %", "NaN", f"≤ {NO_SPEECH_AT_MOST} %"], quiet),
            SPEECH, table(["disturbed by", "gap r", "amplitude", "mouth's distance, %", "M-LMD more", "NaN"], loud)]  # fmt: skip


def feeling(told: dict) -> list[str]:
    """Emotions: recognised shares, and what is taken for what."""
    true, made = told["true"], told["generated"]
    lines = []
    for label in made["confusion"]:
        cells = [row["confusion"].get(label, {}) for row in (true, made)]
        wrong = ", ".join(f"{other} {share:g}" for other, share in cells[1].items() if other != label)
        lines.append([label, *(cell.get(label, 0.0) if cell else None for cell in cells), wrong or None])
    lines.append(["**mean**", true["accuracy"], made["accuracy"], None])
    return [EMOTIONS.format(examples=told["examples"], true_cases=true["cases"], made_cases=made["cases"]),
            table(["emotion", "recognised in true motion, %", "in ours, %", "ours taken for, %"], lines)]  # fmt: skip


def running(figures: dict) -> list[str]:
    """Gaps and speed, in tables."""
    parts = []
    if told := figures.get("continuity"):
        rows = [[f"{length} ms", row["median_ms"], row["worst_ms"], row["in_time"], row["distance_after"],
                 "yes" if row["frames_kept"] else "**no**"] for length, row in told["gaps"].items()]  # fmt: skip
        head = ["gap", "median, ms", "worst, ms", "within 200 ms, %", "distance after 200 ms, %", "all frames came"]
        parts += [GAPS.format(clips=told["clips"]), table(head, rows)]
    if told := figures.get("speed"):
        start = ", ".join(f"{name} {seconds:g} s" for name, seconds in told["start_parts_s"].items())
        parts.append(f"\nSpeed: {told['steps']} steps of 40 ms on one thread, p50 {told['p50_ms']} ms, p99 {told['p99_ms']} ms; "
                     f"start-up in a fresh process: {start}. Load of the machine before: {told['load_before']}.\n")  # fmt: skip
    return parts
