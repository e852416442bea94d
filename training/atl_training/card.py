"""Data card of a folder of shards: what is in it, of what, under which licences, and whether the held-out rule holds.

    atl-corpus card DIR [--out DIR]

Writes README.md, card.json and balance.png; the same shards give the same files.
"""
import argparse
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from tqdm import tqdm

from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE
from atl_training.corpus.identity import ANCESTRIES
from atl_training.corpus.voices import SPLIT_BY_TEXT, VOICES
from atl_training.shards import Sample, find_shards, read_shards

SHARED_VOICES = tuple(f"{engine}/" for engine in SPLIT_BY_TEXT)
RULE = ("identity", "voice", "sentence")  # of these, training and validation must share none
# These they may share: people in recorded data sets read the same sentences, and data of one speaker is split by clip.
ALLOWED = READ, BY_CLIP = "sentence of recordings", "speaker split by clip"
YAW_DEGREES = np.arange(-45, 46, 5)  # middles of bars; what turns further counts into the outermost
NAMED_BARS = 45  # more bars than this get no names: even upright ones would overlap
LEVEL_NAMES = 60  # letters of all names of a panel that fit side by side
SHOWN_LEAKS = 5  # names of each kind that the README tells; card.json has all
PANELS = {"emotion": "emotion by level, minutes", "age": "age, minutes", "sex": "sex, minutes",
          "ancestry": "largest ancestry, minutes", "voice_speaker": "voice speakers, minutes",
          "language": "language, minutes", "motion": "motion, minutes", "phoneme": "phonemes, number",
          "yaw": "head yaw in degrees, frames"}  # fmt: skip
HOURS = ("split", "kind", "picture", "sound")  # what hours are told of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `atl-corpus card`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of shards")
    parser.add_argument("--out", type=Path, help="folder for README.md, card.json, balance.png (DIR)")


def run(options: argparse.Namespace) -> int | None:
    """Write the card; returns 1 where the held-out rule is broken. Raises UserError for a folder without whole shards."""
    card = describe(options.folder)
    out = options.out or options.folder
    out.mkdir(parents=True, exist_ok=True)
    (out / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    (out / "README.md").write_text(readme(card))
    plot_balance(card["balance"], out / "balance.png")
    hours = sum(card["hours"]["split"].values())
    print(f"{out}: {sum(card['clips'].values())} clips, {hours:.2f} h, {len(card['licences'])} licences")
    if any(card["leaks"].values()):
        print(leaks_told(card["leaks"]))
        return 1


def describe(folder: Path) -> dict:
    """card.json of a folder of shards."""
    tally = Tally()
    for sample in tqdm(read_shards([folder]), unit=" clips", desc="card", disable=None):
        tally.add(sample)
    shards = find_shards([folder])
    made = {"name": folder.resolve().name, "shards": len(shards), "bytes": sum(path.stat().st_size for path in shards)}
    plan = {name: value for name, value in _read(folder / "plan.json").items() if value is not False}
    settings = {"settings": ", ".join(f"{name} {value}" for name, value in plan.items())} if plan else {}
    runs = [_read(path) for path in sorted(folder.glob("run*.json"))]  # one for each machine's share
    sums = {name: sum(run.get(name, 0) for run in runs) for name in ("clips_made", "seconds")}  # a kill may have left some out
    noted = runs[0] | sums if runs else {}
    return made | tally.card() | {"run": settings | noted}


def _read(path: Path) -> dict:
    """What `atl-corpus make` noted about itself: its plan; command, seconds, machine. {} where there is no file."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is no JSON object ({error}); delete it or write it anew.") from error


def looks(facts: dict) -> dict[str, str]:
    """Sex, ancestry (the largest share) and glasses of a clip's person; what the facts don't tell is left out."""
    found = {}
    if facts.get("male") is not None:
        found["sex"] = "male" if facts["male"] >= 0.5 else "female"
    if facts.get("ancestry"):
        found["ancestry"] = ANCESTRIES[int(np.argmax(facts["ancestry"]))]
    if "glasses" in facts:
        found["glasses"] = "glasses" if facts["glasses"] else "no glasses"
    return found


def sentences(facts: dict) -> list[str]:
    """What is said in a clip, as it was drawn; of a clip that tells its text alone, that split after . ! ? Words alone, in lower
    case: a full stop makes no other sentence."""
    parts = facts.get("sentences") or re.split(r"(?<=[.!?])\s+", (facts["text"] or "").strip())
    plain = (" ".join(re.findall(r"[\w']+", part.lower())) for part in parts)
    return [part for part in plain if part]


class Tally:
    """Sums over clips."""

    def __init__(self):
        self.frames: dict[str, Counter] = defaultdict(Counter)  # what -> group -> frames of its clips
        self.clips: Counter = Counter()  # split -> clips
        self.phonemes: Counter = Counter()
        self.yaw: Counter = Counter()  # nearest of YAW_DEGREES -> frames
        # what -> split -> names
        self.names: dict[str, dict[str, set]] = {what: defaultdict(set) for what in RULE + ALLOWED}
        self.voices: dict[str, set] = {"synthetic": set(), "real": set()}
        self.made: dict[str, set] = {"version": set()}

    def add(self, sample: Sample) -> None:
        """Count one clip."""
        facts = sample.facts
        count = len(sample.arrays["landmarks"])
        groups = {"split": facts["split"], "picture": "draft" if sample.video is None else "rendered"} | _groups(facts)
        for what, group in groups.items():
            self.frames[what][group] += count
        for entry in {(e["what"], e["licence"], e["attribution"]) for e in facts["licences"]}:
            self.frames["licence"][entry] += count
        self.clips[facts["split"]] += 1
        self._add_names(facts)
        self._add_arrays(sample.arrays, count)

    def _add_names(self, facts: dict) -> None:
        split, voice, recorded = facts["split"], _voice(facts), facts.get("kind") == "recorded"
        self.names[BY_CLIP if facts.get("split_by") == "clip" else "identity"][split].add(_person(facts))
        self.names[READ if recorded else "sentence"][split].update(sentences(facts))
        if voice:
            owner = facts.get("voice_speaker") or voice
            self.voices["real" if voice.startswith("real/") else "synthetic"].add(owner)
            if not voice.startswith(SHARED_VOICES) or (voice in VOICES and VOICES[voice].held is not None):
                self.names["voice"][split].add(owner)
        for what, values in self.made.items():
            if what in facts:
                values.add(str(facts[what]))

    def _add_arrays(self, arrays: dict[str, np.ndarray], count: int) -> None:
        if "speaking" in arrays:
            spoken = int(np.sum(arrays["speaking"]))
            self.frames["sound"].update({"speech": spoken, "idle": count - spoken})
        else:
            self.frames["sound"]["not known"] += count
        self.phonemes.update(str(name) for name in arrays.get("phoneme_name", ()) if name != "pau")
        if "rotation" in arrays:
            yaw = np.degrees(arrays["rotation"][:, 1])
            self.yaw.update(YAW_DEGREES[np.abs(yaw[:, None] - YAW_DEGREES).argmin(1)].tolist())

    def card(self) -> dict:
        """The sums as JSON: counts, hours, leaks, licences, balance (minutes, numbers of phonemes, frames of yaw)."""
        distinct = {what: len(set().union(*splits.values())) for what, splits in self.names.items()}
        shared = {what: sorted(splits["train"] & splits["val"]) for what, splits in self.names.items()}
        hours = {what: {group: _hours(n) for group, n in _sorted(self.frames[what])} for what in HOURS}
        licences = [dict(zip(("what", "licence", "attribution"), entry, strict=True)) | {"hours": _hours(n)}
                    for entry, n in _sorted(self.frames["licence"])]  # fmt: skip
        minutes = {what: {group: round(60 * _hours(n), 3) for group, n in _sorted(self.frames[what])} for what in PANELS}
        return {
            "clips": dict(_sorted(self.clips)), "frames": self.frames["split"].total(), "hours": hours,
            "identities": distinct["identity"] + distinct[BY_CLIP],
            "sentences": distinct["sentence"] + distinct[READ],
            "voice_speakers": len(self.voices["real"] | self.voices["synthetic"]), "real_voices": len(self.voices["real"]),
            "leaks": {what: shared[what] for what in RULE}, "shared": {what: shared[what] for what in ALLOWED},
            "licences": licences, "made": {what: sorted(values) for what, values in self.made.items()},
            "balance": minutes | {"phoneme": dict(_sorted(self.phonemes)),
                                  "yaw": {int(middle): self.yaw[middle] for middle in YAW_DEGREES}},
        }  # fmt: skip


def _hours(frames: int) -> float:
    return round(frames / FRAME_RATE / 3600, 6)


def _sorted(counter: Counter) -> list[tuple]:
    return sorted(counter.items())


def _groups(facts: dict) -> dict[str, str]:
    """The bar of each panel that a clip's minutes add to."""
    known = {what: facts[what] for what in ("kind", "language", "motion") if facts.get(what)}
    if facts.get("age") is not None:
        decade = int(facts["age"]) // 10 * 10
        known["age"] = f"{decade:2d}-{decade + 9}"
    if _voice(facts):
        known["voice_speaker"] = facts.get("voice_speaker") or _voice(facts)
    return known | looks(facts) | {"emotion": f"{facts['emotion']} {facts['level']}"}


def _voice(facts: dict) -> str | None:
    """A recorded clip that names no voice has its speaker's own."""
    own = f"real/{_person(facts)}" if facts.get("kind") == "recorded" else None
    return facts.get("voice") or own


def _person(facts: dict) -> str:
    """The speaker's name, unique over data sets."""
    return f"{facts['dataset']}/{facts['speaker']}" if "dataset" in facts else facts["speaker"]


def leaks_told(leaks: dict[str, list[str]]) -> str:
    """The held-out rule's verdict in a sentence or a line per kind."""
    broken = {what: names for what, names in leaks.items() if names}
    if not broken:
        return (f"Checked: no identity, no speaker (but {', '.join(SPLIT_BY_TEXT)}: split by what they say) and no sentence of a "
                "training clip occurs in a validation clip.")  # fmt: skip
    lines = [f"- {what} ({len(names)}): {'; '.join(names[:SHOWN_LEAKS])}{' …' * (len(names) > SHOWN_LEAKS)}"
             for what, names in broken.items()]  # fmt: skip
    return "\n".join(["**THE HELD-OUT RULE IS BROKEN.** In training and in validation clips:", "", *lines])


def readme(card: dict) -> str:
    """README.md of a card."""
    hours, made = card["hours"], card["made"] | card["run"]
    rows = {
        "clips": f"{sum(card['clips'].values()):,}: " + ", ".join(f"{n:,} {split}" for split, n in card["clips"].items()),
        "frames": f"{card['frames']:,} at {FRAME_RATE} a second",
    } | {what: ", ".join(f"{n:.2f} h {group}" for group, n in hours[what].items()) for what in HOURS} | {
        "identities": card["identities"], "sentences": f"{card['sentences']:,}",
        "voice speakers": f"{card['voice_speakers']}, of which {card['real_voices']} are real people",
        "size": f"{card['bytes']:,} bytes in {card['shards']} shards",
    } | {what: _told(value) for what, value in made.items() if value}  # fmt: skip
    shared = "; ".join(f"{what}: {len(names)}" for what, names in card["shared"].items() if names)
    licences = [f"| {e['what']} | {e['licence']} | {e['attribution']} | {e['hours']:.2f} |" for e in card["licences"]]
    return "\n".join([
        f"# Data card: {card['name']}", "", "| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows.items()),
        "", "## Held out", "", leaks_told(card["leaks"]), *(["", f"Shared on purpose, {shared}."] if shared else []), "",
        "## Licences", "",
        "| what | licence | attribution | hours of clips with it |", "|---|---|---|---|", *licences, "", "## Balance", "",
        "![balance](balance.png)", "", "Clips that don't tell a fact are missing from its panel. Numbers: `card.json`.", "",
    ])  # fmt: skip


def _told(value) -> str:
    """A value of a table's cell: of many, the first few."""
    if isinstance(value, list):
        return ", ".join(value[:SHOWN_LEAKS]) + f" … ({len(value)})" * (len(value) > SHOWN_LEAKS)
    return f"{value:,.0f}" if isinstance(value, float) else f"`{value}`"


def plot_balance(balance: dict[str, dict], out: Path) -> None:
    """One panel of bars for each of PANELS."""
    figure = Figure(figsize=(15, 11), dpi=100, layout="constrained")
    for axis, (what, title) in zip(figure.subplots(3, 3).flat, PANELS.items(), strict=True):
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=8)
        bars = balance[what]
        if what == "emotion":
            _stack(axis, bars)
        else:
            _bars(axis, bars, ranked=what in ("voice_speaker", "phoneme"))
    figure.savefig(out, metadata={"Software": None})


def _bars(axis, bars: dict, ranked: bool) -> None:
    names = sorted(bars, key=lambda name: -bars[name]) if ranked else list(bars)
    axis.bar([str(name) for name in names], [bars[name] for name in names])
    if len(names) > NAMED_BARS:
        axis.set_xticks([])
        axis.set_xlabel(f"{len(names)}, most to least")
    elif len("".join(map(str, names))) > LEVEL_NAMES:
        axis.tick_params(axis="x", rotation=90)


def _stack(axis, bars: dict[str, float]) -> None:
    """Emotions side by side, levels 0 (neutral) to 3 (strong) on top of each other."""
    emotions = sorted({name.rsplit(" ", 1)[0] for name in bars})
    base = np.zeros(len(emotions))
    for level in range(4):
        heights = np.array([bars.get(f"{emotion} {level}", 0.0) for emotion in emotions])
        axis.bar(emotions, heights, bottom=base, label=f"level {level}", color=colormaps["Blues"](0.3 + 0.2 * level))
        base += heights
    axis.tick_params(axis="x", rotation=45)
    axis.legend(fontsize=7)
