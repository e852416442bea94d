"""Where the clips of public data sets lie, and what their names say.

A layout is a function of a folder and `Choices` that gives a `Listing`: the clips as `Source`s sorted by key, and the
files whose names don't parse as `Skipped`. Labels are `atl_face.emotion.LABELS`; levels are 1-3 as in MEAD, and 0 for
neutral, which no data set grades.
"""
import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from atl_face.emotion import LABELS
from atl_face.errors import UserError
from atl_face.files import existing_file

VIDEO_SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
Words = tuple[tuple[float, float], ...]  # start and end of each word, seconds


@dataclass(frozen=True)
class Source:
    """One clip of a data set.

    Attributes:
        key: unique in the data set, without dots or slashes.
        file: path of the video below the data set's folder, with slashes.
        sound: a sound file; None where the video's own sound is meant.
        emotion: one of LABELS. level: 0 (neutral) to 3 (strong).
        licence: what, licence, attribution.
        words: when words are spoken; None where that isn't known.
    """

    dataset: str
    key: str
    file: str
    video: Path
    sound: Path | None
    speaker: str
    emotion: str
    level: int
    text: str
    licence: dict[str, str]
    words: Words | None = None


@dataclass(frozen=True)
class Skipped:
    """A file that is left out: its path below the data set's folder, a short reason (`no_face`), and a sentence."""

    file: str
    code: str
    reason: str


@dataclass(frozen=True)
class Choices:
    """What a layout can't tell.

    Attributes:
        camera: of MEAD's seven; the frontal one shows what the avatar shows.
        speaker: of GRID or a plain folder where it holds one person's clips; "" takes it from the folders' names.
        alignments: GRID's word times as one table (clip, start_s, end_s, word) of one speaker's clips.
        licence: of a plain folder's clips.
    """

    camera: str = "front"
    speaker: str = ""
    alignments: Path | None = None
    licence: str = "not stated"


@dataclass
class Listing:
    """The clips of a folder, sorted by key, and the files that are left out."""

    sources: list[Source]
    skipped: list[Skipped]


def list_sources(layout: str, root: Path, choices: Choices) -> Listing:
    """The clips of the folder `root` in one of the LAYOUTS.

    Raises:
        UserError: `root` is no folder, or nothing in it lies where the layout's clips lie.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"There is no folder {root}.", "no_folder")
    listing = LAYOUTS[layout](root, choices)
    if not listing.sources and not listing.skipped:
        raise UserError(f"{root} holds no video where the layout {layout!r} has them: {PLACES[layout]}.", "no_clips")
    return listing


def _list(root: Path, videos: Iterable[Path], parse: Callable[[Path], Source]) -> Listing:
    """What `parse` says of each video; a name that it refuses (UserError), or whose key was there already, is skipped."""
    sources, skipped = {}, []
    for video in sorted(videos):
        try:
            source = parse(video)
            if source.key in sources:
                raise UserError(f"It has the same key as {sources[source.key].file}.", "duplicate")
            sources[source.key] = source
        except UserError as error:
            skipped.append(Skipped(_below(root, video), error.code, str(error)))
    return Listing([sources[key] for key in sorted(sources)], skipped)


def _videos(paths: Iterable[Path]) -> list[Path]:
    """The video files among them; macOS leaves "._name.mp4" in archives, which are none."""
    return [p for p in paths if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".") and p.is_file()]


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _match(pattern: str, name: str, layout: str) -> dict[str, str]:
    found = re.fullmatch(pattern, name)
    if not found:
        raise UserError(f"Its name is not like {PLACES[layout]}.", "bad_name")
    return found.groupdict()


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def slug(name: str) -> str:
    """The name with everything but letters, digits, _ and - replaced: shards split keys at dots and slashes."""
    return re.sub(r"[^\w-]+", "_", name)


# ---- MEAD -----------------------------------------------------------------------------------------------------------
MEAD_NAME = rf"(?P<speaker>[MW]\d+)/video/(?P<camera>\w+)/(?P<emotion>{'|'.join(LABELS)})/level_(?P<level>[123])/(?P<number>\d+)"
MEAD_LICENCE = {
    "what": "MEAD", "licence": "non-commercial research only, no redistribution (terms of use of MEAD)",
    "attribution": "Wang et al., MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face Generation, ECCV 2020",
}  # fmt: skip


def mead(root: Path, choices: Choices) -> Listing:
    """`M003/video/front/angry/level_2/001.mp4` with `M003/audio/angry/level_2/001.m4a`; no texts."""

    def parse(video: Path) -> Source:
        said = _match(MEAD_NAME, _below(root, video.with_suffix("")), "mead")
        speaker, emotion, level, number = (said[name] for name in ("speaker", "emotion", "level", "number"))
        sound = root / speaker / "audio" / emotion / f"level_{level}" / f"{number}.m4a"
        key = f"{speaker}_{said['camera']}_{emotion}_{level}_{number}"
        return Source("mead", key, _below(root, video), video, _if_there(sound), speaker, emotion,
                      0 if emotion == "neutral" else int(level), "", MEAD_LICENCE)  # fmt: skip

    return _list(root, _videos(root.glob(f"*/video/{choices.camera}/*/*/*")), parse)


# ---- CREMA-D --------------------------------------------------------------------------------------------------------
CREMA_EMOTIONS = {"ANG": "angry", "DIS": "disgusted", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
CREMA_LEVELS = {"LO": 1, "MD": 2, "HI": 3, "XX": 2, "X": 2}  # XX is "unspecified"; one file is published with a single X
CREMA_TEXTS = {
    "IEO": "It's eleven o'clock.", "TIE": "That is exactly what happened.", "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.", "TAI": "The airplane is almost full.", "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.", "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.", "ITS": "I think I've seen this before.", "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}  # fmt: skip
CREMA_NAME = (rf"(?P<speaker>\d{{4}})_(?P<text>{'|'.join(CREMA_TEXTS)})_(?P<emotion>{'|'.join(CREMA_EMOTIONS)})"
              rf"_(?P<level>{'|'.join(CREMA_LEVELS)})")  # fmt: skip
CREMA_LICENCE = {
    "what": "CREMA-D", "licence": "ODbL 1.0, contents DbCL 1.0",
    "attribution": "Cao et al., CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE TAFFC 5, 2014",
}  # fmt: skip


def crema_d(root: Path, choices: Choices) -> Listing:
    """`VideoFlash/1001_DFA_ANG_XX.flv` with `AudioWAV/1001_DFA_ANG_XX.wav`."""

    def parse(video: Path) -> Source:
        said = _match(CREMA_NAME, video.stem, "crema-d")
        emotion = CREMA_EMOTIONS[said["emotion"]]
        return Source("crema-d", video.stem, _below(root, video), video, _if_there(root / "AudioWAV" / f"{video.stem}.wav"),
                      said["speaker"], emotion, 0 if emotion == "neutral" else CREMA_LEVELS[said["level"]],
                      CREMA_TEXTS[said["text"]], CREMA_LICENCE)  # fmt: skip

    return _list(root, _videos(root.glob("VideoFlash/*")), parse)


# ---- GRID -----------------------------------------------------------------------------------------------------------
GRID_SENTENCE = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # "double u" is no single syllable: GRID has no w
    dict(zip("z123456789", "zero one two three four five six seven eight nine".split(), strict=True)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
GRID_NAME = "".join(f"[{''.join(words)}]" for words in GRID_SENTENCE)
GRID_SPEAKER = r"s\d{1,2}"
ALIGN_RATE = 25_000  # Hz: the times of .align files count samples of the original sound
SILENCES = ("sil", "sp")
GRID_LICENCE = {
    "what": "GRID audiovisual sentence corpus", "licence": "CC BY 4.0",
    "attribution": "Cooke, Barker, Cunningham, Shao, J. Acoust. Soc. Am. 120, 2006",
}  # fmt: skip


def grid(root: Path, choices: Choices) -> Listing:
    """`s1/bbaf2n.mpg` or `s1/video/…/bbaf2n.mpg`, or one speaker's clips in one folder; words from `choices.alignments`
    or from .align files in `s1/align`, `align/s1`, `alignments/s1` or, of one speaker, `align`."""
    videos = _videos(root.rglob("*"))
    table = read_alignments(choices.alignments) if choices.alignments else None
    speakers = {video: choices.speaker or _grid_speaker(root, video) for video in videos}
    shared = [root / "align"] if len(set(speakers.values())) == 1 else []  # speakers share sentences, so names don't tell

    def parse(video: Path) -> Source:
        _match(GRID_NAME, video.stem, "grid")
        speaker, stem = speakers[video], video.stem
        if table is None:
            folders = [root / speaker / "align", root / "align" / speaker, root / "alignments" / speaker, *shared]
            words = next((read_align(f / f"{stem}.align") for f in folders if (f / f"{stem}.align").is_file()), None)
        else:
            words = tuple(said[:2] for said in table[stem]) if stem in table else None
        text = " ".join(words_of[letter] for words_of, letter in zip(GRID_SENTENCE, stem, strict=True))
        return Source("grid", slug(f"{speaker}_{stem}"), _below(root, video), video, None, speaker, "neutral", 0, text,
                      GRID_LICENCE, words)  # fmt: skip

    return _list(root, videos, parse)


def _grid_speaker(root: Path, video: Path) -> str:
    """The innermost folder with a speaker's name, else `root`'s name."""
    folders = [root.name, *video.relative_to(root).parts[:-1]]
    return next((name for name in reversed(folders) if re.fullmatch(GRID_SPEAKER, name)), root.name)


def read_align(path: Path) -> Words:
    """The words of a .align file (lines of start, end, word). Raises UserError `bad_alignment`."""
    try:
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        return tuple((int(start) / ALIGN_RATE, int(end) / ALIGN_RATE) for start, end, word in rows if word not in SILENCES)
    except (OSError, ValueError) as error:
        raise UserError(f"Its alignment {path.name} can't be read ({error}).", "bad_alignment") from error


def read_alignments(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """start, end (s) and word of all that each clip says, from a table of clip, start_s, end_s, word. Raises UserError."""
    words: dict[str, list[tuple[float, float, str]]] = {}
    try:
        with existing_file(path, "table of alignments").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                said = words.setdefault(row["clip"], [])
                if row["word"] not in SILENCES:
                    said.append((float(row["start_s"]), float(row["end_s"]), row["word"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no table of clip, start_s, end_s, word, separated by tabs ({error}).",
                        "bad_alignment") from error  # fmt: skip
    return words


# ---- any folder -----------------------------------------------------------------------------------------------------
def folder(root: Path, choices: Choices) -> Listing:
    """Any tree of videos: the speaker is the first sub-folder's name or, without one, the file's; the text is that of a
    .txt file beside the clip; the emotion counts as neutral, because nothing tells it."""
    licence = {"what": root.name, "licence": choices.licence, "attribution": ""}

    def parse(video: Path) -> Source:
        name, text = video.relative_to(root).with_suffix(""), _if_there(video.with_suffix(".txt"))
        return Source(slug(root.name), slug("_".join(name.parts)), _below(root, video), video, None,
                      choices.speaker or name.parts[0], "neutral", 0,
                      text.read_text(encoding="utf-8", errors="replace").strip() if text else "", licence)  # fmt: skip

    return _list(root, _videos(root.rglob("*")), parse)


LAYOUTS = {"mead": mead, "crema-d": crema_d, "grid": grid, "folder": folder}
PLACES = {
    "mead": "M003/video/front/angry/level_1/001.mp4", "crema-d": "VideoFlash/1001_DFA_ANG_XX.flv",
    "grid": "s1/bbaf2n.mpg", "folder": "files ending in " + ", ".join(VIDEO_SUFFIXES),
}  # fmt: skip
