"""The part of docs/results.md about the landmark stage, from docs/landmarks.json."""
from landmark_arms_page import STYLES
from landmark_people_page import fv_row, people_aims, people_section
from tables import spread, table

OURS = "ours"
PORTRAITS = ("face at rest", "first frame")
NO_SPEECH_AT_MOST = 15  # % of the lip gap's deviation on speech
NOBODYS_SPEECH = "babble"

INTRODUCTION = """
## Sound to landmarks

`python -m atl_training.landmarks.report --draft draft --grid grid_shards --looks grid_looks --speech-folder SPEECH --out
docs/landmarks.json`. The stage as it runs: its stream, its OpenVINO graph. Held-out clips; means over clips with 95 % bootstrap
intervals. Distances are in % of the distance between the outer eye corners. "Mean motion" is the mean of the judged clips' own
true motion, "nearest viseme" knows the phonemes and shows each one's static mouth, "energy jaw" opens the jaw with the loudness.
"kflm" is the
shipped one of 1,200 steps beside ours, the average of ten runs; with those that they began from, 64,900 steps: for a fair
comparison see the end of this section. The draft is of the corpus's version 6; its recordings and Kokoro were timed by an
aligner that had heard neither joe nor slt (`atl-corpus aligner --without …`, [docs/corpus.md](corpus.md)) besides the voices
that are held out; only its held-out people were made. Emotions alone were measured on another draft of version 6, without an
aligner (`draft_5` of the [model card](../atl_landmark_node/atl_landmark_node/data/README.md)); continuity and speed on the
draft of "on their own faces". Ours is computed in bfloat16, as it runs on a processor that has it (here AVX-512's).

No network was trained on these clips, but early stopping looked at them, and so did whoever dropped a gate
that shut the mouth where there seemed to be no speech: this is validation, not a test.

### What was asked, and what is
"""

DRAFT = """
### People that no training saw, saying what none heard: the studio's, {clips} clips moved by {how}{voices}

What speech alone does to the average face, against what it truly does; the network is told the clip's style, `rules` or `real`
(a user gets `real` unless he asks for the other). /m b p/ in the frames in which the true lips are closed
(gap below 3 %; "strictly": 1.5 %): the share in which ours are; "sounds": of those sounds, the ones with a closed frame; "false":
closed though the true lips are clearly open (gap above 6 %). /f v/: share of their frames in which the lower lip is at most 1 mm
farther from the upper teeth than truly, on an average head of the studio's; then the mean distance (the studio's upper teeth
stand back: its own /f/ leaves {true_mm} mm).
"""

GRID = """
### Film of a real speaker: GRID's {clips} held-out clips

The tracked landmarks, levelled onto the portrait, against the mouth that the portrait gets from the sound. "Fitted weights" is
the best that the 28 speech weights can do (training's targets). Phonemes by forced alignment ({aligned} of {clips} clips). The
portrait "face at rest" is built from the clip's own most closed frames, as training's targets are; "first frame" is what a single
picture gives, whatever the mouth does in it.
"""

SYNC = """
### Lips and sound, through the default renderer: {clips} GRID clips

The sync expert's opinion of frames drawn from each, the head held as it truly was. "Fitted weights" are training's
targets, the truth as far as speech weights can copy it; more motion can score higher, and ours does: the scale of our motion
(`net.REACH`) was chosen on GRID's held-out clips, these among them. From our landmarks its confidence is
**{of_true} %** of that from the true ones, which are the mean of four looks at the film; by one look, as trainings' targets are,
the same clips and networks gave 101.2 %. That lips follow the true ones it doesn't say ("Clips made anew", above).
"""

NO_SPEECH = """
### Sound that is no speech

The lip gap's standard deviation, in % of {usual} % of the eye distance, that on {sounds} recordings of real readers
({with_truth} of them from the draft); all at the level of speech unless said otherwise; of several takes the mean and the worst.
Aim: at most {aim} %. Babble is 24 crowds of six voices at once: it is speech, and nothing in it says that none of them is the
one to follow; the aim has rows of its own for it. Recordings and takes move as the runtime does (style `real`), the draft's
clips in their own style: on recordings `rules` moves 4 % more (throwaway script). Each take begins at once, from nothing; "after
1 s" is without its first second.
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
clips in their own style, one gap of each length in each, speech going on after it. That is strict: one frame in which one of the
two runs shuts its lips and the other doesn't is enough. It is the gap's doing: noise 60 dB below the sound takes the mouth
nowhere that far (48 clips, 960 places; throwaway script). "Error" is the mouth's mean distance from the clip's truth from 200 ms
to 2 s after the gap, in % of the eye distance, beside what the run that heard everything has in the same frames.
"""

UNHEARD_VOICES = ("kokoro/jf_alpha", "festival/msu_ru_nsh_clunits", "festival/czech_ph", "flite/rms", "festival/pc_diphone")
UNHEARD = {"unseen": "synthetic voices that no training heard", "read": "the voices of readers whom none heard"}
ROW = {"gap r": "gap_r", "gap r, lag ≤ 1": "gap_r_near", "amplitude": "amplitude", "|lag|": "abs_lag", "M-LMD, %": "m_lmd"}
CLOSED = {"/m b p/ in the frames in which the true lips are closed, %": "closed",
          "strictly": "closed_strict", "sounds": "sounds", "false": "false"}


def landmarks_section(figures: dict, beside: list[dict]) -> str:
    """Markdown of the whole section, of figures and of compared trainings of `stream` and `kflm` (`beside`); what wasn't measured
    is left out."""
    if not figures:
        return ""
    parts = [INTRODUCTION, *mixed(figures), table(["", "aim", "is", ""], aims(figures, beside))]
    for style, how in (("rules", "rules"), ("real", "a real man's replayed motion")):
        if told := figures.get("draft", {}).get(style):
            true_mm = told["rows"]["ground truth"].get("teeth", {}).get("true_mm")
            apart = [(told[name], whose) for name, whose in UNHEARD.items() if name in told]
            heard = ", in a voice that training heard" if style == "real" else ""
            heard = "".join(f", {part['clips']} of them in {whose}" for part, whose in apart) or heard
            parts += [DRAFT.format(clips=told["clips"], how=how, voices=heard, true_mm=true_mm), motion_table(told["rows"])]
            for part, whose in apart:
                parts += [f"Those {part['clips']} in {whose} ({drawn(part)}):\n", motion_table(part["rows"])]
            parts.append(voices(told))
    parts += people_section(figures.get("people", {}), motion_table)
    if told := figures.get("grid"):
        parts.append(GRID.format(**told))
        for portrait in PORTRAITS:
            parts += [f"Portrait: the clip's {portrait}.\n", motion_table(told[portrait])]
    if told := figures.get("sync"):
        rows = [[name, *(spread(row[key]) for key in ("lse_c", "lse_d", "abs_offset"))] for name, row in told["rows"].items()]
        parts += [SYNC.format(clips=told["clips"], of_true=spread(told["of_true"])),
                  table(["frames drawn from", "confidence", "distance", "|offset|"], rows)]  # fmt: skip
    parts += hearing(figures["robustness"]) if "robustness" in figures else []
    parts += feeling(figures["emotions"]) if "emotions" in figures else []
    parts += running(figures)
    return "\n".join(parts)


def mixed(figures: dict) -> list[str]:
    """A warning where parts were measured with different networks."""
    used = {part: figures.get("measured", {}).get(part, {}).get("weights", {})
            for part in figures if part not in ("machine", "measured")}  # fmt: skip
    lines = []
    for network in sorted({OURS} | {name for weights in used.values() for name in weights}):
        parts = {part: weights.get(network, "unknown") for part, weights in used.items() if network in weights or network == OURS}
        if len(set(parts.values())) > 1:
            told = ", ".join(f"{part} {sha}" for part, sha in parts.items())
            lines.append(f"**Warning: not all parts are of the same weights of {network} (SHA-256: {told}).**\n")
    return lines


def aims(figures: dict, beside: list[dict]) -> list[list[object]]:
    """Rows what, aim, figure, met or not met; only of what was measured."""
    rows = []

    def aim(what: str, wanted: str, value: float | None, unit: str = "", *, least=float("-inf"), most=float("inf")) -> None:
        met = value is not None and least <= value <= most
        rows.append([what, wanted, None if value is None else number(value) + unit, "met" if met else "**not met**"])

    for style, told in figures.get("draft", {}).items():
        for where, part in judged_of(style, told).items():
            ours = part["rows"][OURS]
            aim(f"M-LMD, {where}", "≤ 2.0 %", ours["m_lmd"][0], " %", most=2)
            aim(f"lip-gap r, {where}", "≥ 0.9", ours["gap_r"][0], least=0.9)
            if part is told.get("unseen"):
                rows += by_voice(told)
            aim(f"/m b p/ in the frames in which the true lips are closed, {where}", "closed in ≥ 95 %",
                ours["closures"]["closed"], " %", least=95)  # fmt: skip
            rows += [fv_row(where, part["rows"], OURS)] if "teeth" in ours else []
    people_aims(aim, figures.get("people", {}), OURS)
    _beside_kflm(aim, beside)
    for portrait in PORTRAITS if "grid" in figures else ():
        _of_grid(aim, f"GRID, portrait: {portrait}", figures["grid"][portrait])
    if "sync" in figures:
        aim("sync confidence, GRID, of that from true landmarks", "≥ 90 %", figures["sync"]["of_true"][0], " %", least=90)
    if "emotions" in figures:
        aim("emotions recognised, of the share on true motion", "≥ 80 %", figures["emotions"]["ratio"], " %", least=80)
    if "robustness" in figures:
        _of_robustness(aim, rows, figures["robustness"])
    if "continuity" in figures:
        _of_continuity(aim, figures["continuity"])
    if "speed" in figures:
        _of_speed(aim, figures["speed"])
    return rows


def unheard(told: dict) -> dict[str, dict]:
    """The figures of each engine's voice that no training heard; nothing, if these aren't all the clips of such voices."""
    found = {name: told["by_voice"][name] for name in UNHEARD_VOICES if name in told["by_voice"]}
    return found if sum(row["clips"] for row in found.values()) == told.get("unseen", {}).get("clips") else {}


def by_voice(told: dict) -> list[list[object]]:
    """A row that tells beside the judged mean over clips what it is over voices, and how far these are apart."""
    if not (found := unheard(told)):
        return []
    r = {name: row["gap_r"][0] for name, row in found.items()}
    low, high, most = min(r, key=r.get), max(r, key=r.get), max(found, key=lambda name: found[name]["clips"])
    figure = f"{number(sum(r.values()) / len(r))} ({number(r[low])} {low} to {number(r[high])} {high})"
    pulled = f"; {low}, {found[low]['clips']} of the clips, pulls the mean over clips down" if low == most else ""
    return [[f"the same, mean over these {len(r)} voices (the lowest to the highest){pulled}", "none: clips are judged",
             figure, "told"]]  # fmt: skip


def judged_of(style: str, told: dict) -> dict[str, dict]:
    """The draft's clips of a style, and those of voices that no training heard: their names and figures."""
    if style == "real":
        return {f"replayed motion and voice of the trained man, {told['clips']} clips of unseen people": told}
    voices_of = {"unseen": f" of {len(found)} voices" if (found := unheard(told)) else ""}
    parts = {f"rules, unseen people in {whose}, {told[name]['clips']} clips{voices_of.get(name, '')}": told[name]
             for name, whose in UNHEARD.items() if name in told}  # fmt: skip
    return parts | {f"rules, all {told['clips']} clips of unseen people and sentences": told}


def number(value: float) -> str:
    """Three digits, and all before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _beside_kflm(aim, beside: list[dict]) -> None:
    """At equal data and steps; the shipped `stream` was trained longer than `kflm`."""
    runs = {row["model"]: row for row in beside}
    for style in STYLES if {"stream", "kflm"} <= runs.keys() else ():
        ours, theirs = (runs[model][style]["m_lmd_percent"] for model in ("stream", "kflm"))
        aim(f"M-LMD of stream over that of kflm at equal data and steps ({runs['kflm']['steps']}), {style}", "≤ +5 %",
            100 * (ours / theirs - 1), " %", most=5)  # fmt: skip


def _of_grid(aim, where: str, rows: dict) -> None:
    ours = rows[OURS]
    known = [rows[name]["m_lmd"][0] for name in ("nearest viseme", "energy jaw", "mean motion")]
    best = min(value for value in known if value is not None)
    aim(f"lip-gap r, {where}, best at lag 0 ± 1 frame (at lag 0: {spread([ours['gap_r'][0], None, None])})", "≥ 0.8",
        ours["gap_r_near"][0], least=0.8)  # fmt: skip
    aim(f"M-LMD below mean motion's, {where}", "≥ 35 %", ours["below_mean_motion"], " %", least=35)
    aim(f"M-LMD, {where}", f"below every baseline ({best:.2f} %)", ours["m_lmd"][0], " %", most=best)


def _of_robustness(aim, rows: list, told: dict) -> None:
    wanted = f"≤ {NO_SPEECH_AT_MOST} % of speech's"
    no_speech = {name: row["of_speech"] for name, row in told["no_speech"].items() if name != NOBODYS_SPEECH}
    worst = max(no_speech, key=lambda name: float("inf") if no_speech[name] is None else no_speech[name])
    aim(f"lip-gap deviation without speech, worst: {worst}", wanted, no_speech[worst], " %", most=NO_SPEECH_AT_MOST)
    crowds = told["no_speech"][NOBODYS_SPEECH]
    for name, key in (("lip-gap deviation on babble alone (it is speech), mean of the crowds", "mean"),
                      ("the same in the worst crowd", "of_speech"), ("and there after its first second", "settled")):
        aim(name, wanted, crowds[key], " %", most=NO_SPEECH_AT_MOST)
    finite = all(row["finite"] for part in ("no_speech", "speech") for row in told[part].values())
    rows.append(["NaN in any of it", "none", "none" if finite else "some", "met" if finite else "**not met**"])


def _of_continuity(aim, told: dict) -> None:
    aim("chunked against whole, largest difference", "≤ 1e-4", told["chunks"]["largest_difference"], most=1e-4)
    worst = max(row["worst_ms"] for row in told["gaps"].values())
    aim("recovered from a gap (40 to 1000 ms), worst", "≤ 200 ms", worst, " ms", most=200)
    lost = max(100 * (row["error_after"] / row["error_whole"] - 1) for row in told["gaps"].values())
    aim("error against the truth from 200 ms after a gap on, above that without a gap, worst length", "≤ 5 % (our reading of it)",
        round(lost, 1), " %", most=5)  # fmt: skip
    aim("closed after an interrupt, worst", "≤ 120 ms", told["interrupt"]["closed_ms"], " ms", most=120)
    usual = told["interrupt"]["largest_step_speaking"]
    aim("largest step of the lip gap in it", f"no jump: ≤ {usual:g} %, the largest in speech", told["interrupt"]["largest_step"],
        " %", most=usual)  # fmt: skip


def _of_speed(aim, told: dict) -> None:
    aim("real-time factor, one thread", "≤ 0.02", told["real_time_factor"], most=0.02)
    aim("a step of 40 ms, p99", "≤ 3 ms", told["p99_ms"], " ms", most=3)
    aim("start-up to the first frame", "≤ 0.5 s", told["start_s"], " s", most=0.5)
    aim("state", "≤ 1 MB", told["state_bytes"] / 1e6, " MB", most=1)
    aim("weights", "≤ 15 MB", told["weights_bytes"] / 1e6, " MB", most=15)


def drawn(part: dict) -> str:
    """What the intervals of some voices' clips say."""
    if "speakers" in part:
        return f"intervals draw whole speakers, {part['speakers']} of them"
    return "intervals are of clips, as above, not of voices: they say nothing of other voices"


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
    heading = NO_SPEECH.format(usual=number(100 * (told["gap_deviation_on_speech"] or 0)), sounds=told["sounds"],
                               with_truth=told["clips_with_truth"], aim=NO_SPEECH_AT_MOST)  # fmt: skip
    quiet = []
    for name, row in told["no_speech"].items():
        met = row["of_speech"] is not None and row["of_speech"] <= NO_SPEECH_AT_MOST
        quiet.append([name, row["mean"], row["of_speech"], row["settled"], row["widest"], "no" if row["finite"] else "**yes**",
                      "met" if met else "**not met**"])  # fmt: skip
    loud = [[name, spread(row["gap_r"]), row["amplitude"], spread(row["distance"]), spread(row["m_lmd_change"]),
             "no" if row["finite"] else "**yes**"] for name, row in told["speech"].items()]  # fmt: skip
    head = ["sound", "deviation, % of speech's", "worst", "after 1 s, worst", "widest gap, %", "NaN", f"≤ {NO_SPEECH_AT_MOST} %"]
    return [heading, table(head, quiet),
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
            table(["emotion", "recognised in true motion, %", "in ours, %", "ours taken for, %"], lines),
            f"Our share of the truth's: {told['ratio']:g} %{_between(told.get('ratio_interval'))}.\n"]  # fmt: skip


def _between(interval: list | None) -> str:
    """An interval in brackets, where there is one."""
    return f" ({interval[0]:g}..{interval[1]:g})" if interval and None not in interval else ""


def running(figures: dict) -> list[str]:
    """Gaps and speed, in tables."""
    parts = []
    if told := figures.get("continuity"):
        shown = "median_ms", "worst_ms", "in_time", "distance_after", "error_after", "error_whole"
        rows = [[f"{length} ms", *(row[name] for name in shown), "yes" if row["frames_kept"] else "**no**"]
                for length, row in told["gaps"].items()]  # fmt: skip
        head = ["gap", "median, ms", "worst, ms", "within 200 ms, %", "distance after 200 ms, %", "error after 200 ms, %",
                "error without a gap, %", "all frames came"]
        parts += [GAPS.format(clips=told["clips"]), table(head, rows)]
    if told := figures.get("speed"):
        start = ", ".join(f"{name} {seconds:g} s" for name, seconds in told["start_parts_s"].items())
        parts.append(f"\nSpeed: {told['steps']} steps of 40 ms on one thread, p50 {told['p50_ms']} ms, p99 {told['p99_ms']} ms; "
                     f"start-up in a fresh process: {start}. Load of the machine before: {told['load_before']}.\n")  # fmt: skip
    return parts
