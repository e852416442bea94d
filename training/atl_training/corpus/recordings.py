"""Real voices for the corpus: recordings whose phonemes forced alignment has found, kept as a library.

pocketsphinx tells which phonemes they are; when, an ear (`aligner`) tells better than it does.
"""

import argparse
import gzip
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_face.errors import UserError
from atl_face.media import read_audio
from atl_face.pcm import to_float, to_int16
from atl_face.stream import SAMPLE_RATE
from atl_training.corpus.phonemes import Segment, ipa_phones
from atl_training.corpus.speech import Refine, Speech, at_level, covering, excerpt, read_segments, write_speech
from atl_training.corpus.voices import VOICES, may_speak
from atl_training.loaders.layouts import read_alignments
from atl_training.splits import held_out

FRAME_S = 0.01  # of pocketsphinx
LEAST_SCORE = -40.0  # a frame; texts that are spoken score far better, others far worse
ONSET_S = 0.15  # after silence, a first consonant that is longer has swallowed some of it
REDUCED_S = 0.08  # a shorter `ah` is the schwa of "the": CMU's dictionary has one name for both, lips don't
MARGIN_S = 0.05  # around the words that a table of times names
WHOLE_S = 3.5  # shorter recordings are never cut: GRID's filmed motion belongs to whole ones
PHRASE_S = 0.2  # a pause at which a longer one may be cut
TRIES = 20  # recordings looked at for one that has a phrase short enough
DIGITS = "zero one two three four five six seven eight nine".split()
ASTERISK_TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")


@dataclass(frozen=True)
class Source:
    """A recording to align: whose voice, its name (which decides whether it is held out), its text and its file.

    spoken_s: from when to when it is spoken, where that is known.
    """

    voice: str
    stem: str
    text: str
    path: Path
    spoken_s: tuple[float, float] = (0.0, np.inf)


@dataclass(frozen=True)
class Recording:
    """stem: the name of the file it is from, for what else is known about it (GRID's motion)."""

    stem: str
    text: str
    speech: Speech


class Recordings:
    """The library that `prepare` wrote.

    A recording is held out by its stem, or with all of its voice; what says the same as one that is held out, or a part of it, is
    not for training. `voices`: those that have something to say in every split in which they may speak.
    """

    def __init__(self, folder: Path):
        """Raises UserError: there is nothing in the folder."""
        texts = {path: _text(path) for path in sorted(Path(folder).glob("real-*/*.npz"))}
        self._unseen = [f" {_plain(text)} " for path, text in texts.items() if _is_held(path)]
        self._pools: dict[tuple[str, bool], list[Path]] = {}
        for path, text in texts.items():
            if _is_held(path) or not self._is_unseen(text):
                self._pools.setdefault((_voice_of(path), _is_held(path)), []).append(path)
        names = {voice for voice, _ in self._pools if voice in VOICES}
        self.voices = tuple(sorted(name for name in names if all(
            (name, split) in self._pools for split in (False, True) if may_speak(VOICES[name], split))))  # fmt: skip
        if not self.voices:
            raise UserError(f"{folder} has no voice with something to say in every split in which it may speak: make it with "
                            "`atl-corpus recordings`.")  # fmt: skip

    def draw(self, rng: np.random.Generator, voice: str, validation: bool, longest_s: float = np.inf) -> Recording | None:
        """A random recording of a voice and split, at the level of `speech.at_level`; None where none was found that fits.

        longest_s: longer recordings are cut at their pauses.
        """
        pool = self._pools[voice, validation]
        for _ in range(TRIES):
            recording = _load(pool[int(rng.integers(len(pool)))], rng, longest_s)
            if recording.speech.duration_s <= longest_s and (validation or not self._is_unseen(recording.text)):
                return recording
        return None

    def _is_unseen(self, text: str) -> bool:
        """Whether a recording that is held out says this, by itself or among other words."""
        words = f" {_plain(text)} "
        return any(words in said for said in self._unseen)


def _voice_of(path: Path) -> str:
    """The name of the voice whose recording it is."""
    return path.parent.name.replace("-", "/", 1)


def _is_held(path: Path) -> bool:
    """Whether a recording is held out."""
    voice = VOICES.get(_voice_of(path))
    return held_out(path.stem) if voice is None or voice.held is None else voice.held


def _text(path: Path) -> str:
    with np.load(path) as kept:
        return str(kept["text"])


def _load(path: Path, rng: np.random.Generator, longest_s: float) -> Recording:
    """A recording of the library, or some phrases of it if it is too long."""
    with np.load(path) as kept:
        samples, segments, text = to_float(kept["samples"]), read_segments(kept), str(kept["text"])
        words = list(zip(kept["word_times"].tolist(), kept["words"].tolist(), strict=True))
    samples, duration = at_level(samples), len(samples) / SAMPLE_RATE
    runs = [] if duration <= max(longest_s, WHOLE_S) else _runs(segments, duration, longest_s)
    if not runs:
        return Recording(path.stem, text, Speech(samples, segments))
    start, end = runs[int(rng.integers(len(runs)))]
    said = " ".join(word for (a, b), word in words if a >= start and b <= end)
    return Recording(path.stem, said, excerpt(samples, segments, start, end))


def _runs(segments: list[Segment], duration_s: float, longest_s: float) -> list[tuple[float, float]]:
    """From every pause, the longest stretch with speech that fits and ends in a pause."""
    pauses = [(a + b) / 2 for a, b, name in segments if name == "pau" and b - a >= PHRASE_S and 0 < a and b < duration_s]
    cuts = [0.0, *pauses, duration_s]
    fits = [(start, max([end for end in cuts if end <= start + longest_s])) for start in cuts]
    return [run for run in fits if any(name != "pau" and a >= run[0] and b <= run[1] for a, b, name in segments)]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def words_of(text: str) -> list[str]:
    """The words to align; raises ValueError where they aren't what is heard."""
    if re.search(r"\d\d|\d\w|\[", text):
        raise ValueError("its text has numbers or notes in brackets")
    words = re.findall(r"[a-z']+", re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower()))
    if not words:
        raise ValueError("its text has no words")
    return [word.strip("'") or word for word in words]


def make_decoder():
    """pocketsphinx's aligner; its defaults refuse to align."""
    from pocketsphinx import Decoder

    # cmn="batch" and reinit_feat in `align`: what was heard before must not matter
    decoder = Decoder(lm=None, bestpath=False, beam=1e-80, pbeam=1e-80, wbeam=1e-60, cmn="batch", loglevel="FATAL")
    decoder.add_word("z(2)", "Z EH D", False)  # GRID is British
    return decoder


def align(decoder, sound: np.ndarray, text: str) -> tuple[list[Segment], list[Segment]]:
    """Phonemes (lower-case ARPAbet, `pau`) and words of a recording, 16 kHz float (n,), with times in seconds.

    Raises:
        ValueError: the text is not what is spoken, or can't be aligned.
    """
    words = words_of(text)
    for word in words:
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, _pronounce(word), False)
    pcm = to_int16(sound).tobytes()
    try:
        decoder.reinit_feat()
        decoder.set_align_text(" ".join(words))
        for second in (False, True):  # words first, then phones inside them
            if second:
                decoder.set_alignment()
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        alignment = decoder.get_alignment()
    except RuntimeError as error:
        raise ValueError(f"it doesn't align ({error})") from error
    phones, spoken, score = [], [], 0
    for word in alignment:  # its entries are gone with the next one
        phones += [_named(*_times(phone), phone.name.lower()) for phone in word]
        if not _is_filler(word.name):
            spoken.append(_times(word))
            score += word.score
    score /= max(sum(end - start for start, end in spoken) / FRAME_S, 1)
    if len(spoken) != len(words) or score < LEAST_SCORE:
        raise ValueError(f"it doesn't say its text (score {score:.0f})")
    return _sharp_onsets(phones), [(*times, word) for times, word in zip(spoken, words, strict=True)]


def _sharp_onsets(phones: list[Segment]) -> list[Segment]:
    """First consonants after silence cut down to ONSET_S; the silence gets the rest."""
    out: list[Segment] = []
    for start, end, name in phones:
        late = end - ONSET_S
        if start < late and name[0] not in "aeiou" and name != "pau" and (not out or out[-1][2] == "pau"):
            before = out.pop()[0] if out else start
            out.append((before, late, "pau"))
            start = late
        out.append((start, end, name))
    return out


def _is_filler(name: str) -> bool:
    return name.startswith(("<", "[", "+", "("))


def _times(entry) -> tuple[float, float]:
    return entry.start * FRAME_S, (entry.start + entry.duration) * FRAME_S


def _named(start: float, end: float, name: str) -> Segment:
    if name == "sil" or _is_filler(name):
        return start, end, "pau"
    return start, end, "ax" if name == "ah" and end - start < REDUCED_S else name


def _pronounce(word: str) -> str:
    """ARPAbet of a word that the dictionary lacks, as eSpeak NG says it; raises ValueError without eSpeak NG."""
    try:
        command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", word]
        ipa = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"the dictionary lacks {word!r}, and espeak-ng isn't installed") from error
    phones = ipa_phones("".join(ipa.split()))
    return " ".join("AH" if phone == "ax" else phone.upper() for phone in phones)


def prepare(sources: list[Source], out: Path, refine: Refine | None = None) -> list[str]:
    """Align recordings, at the times that `refine` finds if it is given, into the library `out`: <voice with / replaced by
    ->/<stem>.npz of int16 samples, segments, words and text. What is there is kept. Returns a line for every one that was left
    out; they are also in out/skipped.tsv."""
    decoder, skipped = make_decoder(), []
    for source in tqdm(sources, desc="aligning"):
        path = Path(out) / source.voice.replace("/", "-") / f"{source.stem}.npz"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            sound = read_audio(source.path)
            phones, words = _align_spoken(decoder, refine, sound, source)
        except (ValueError, UserError) as error:
            skipped.append(f"{source.voice}\t{source.stem}\t{error}")
            continue
        temporary = Path(out) / "part.npz"
        write_speech(
            temporary, to_int16(sound),
            covering(phones, len(sound) / SAMPLE_RATE), text=source.text, words=np.array([word for *_, word in words]),
            word_times=np.array([word[:2] for word in words], np.float32),
        )  # fmt: skip
        temporary.replace(path)
    (Path(out) / "skipped.tsv").write_text("\n".join(["voice\tstem\treason", *skipped, ""]), encoding="utf-8")
    return skipped


def refiner(aligner: Path | None) -> Refine | None:
    """What `atl-corpus aligner` wrote, ready to be asked; None without one. Raises UserError: the file is something else."""
    if aligner is None:
        return None
    from atl_training.corpus.ear import load_ear, refined  # only here: nothing else of the corpus needs torch

    return partial(refined, load_ear(aligner))


def _align_spoken(decoder, refine: Refine | None, sound: np.ndarray, source: Source) -> tuple[list[Segment], list[Segment]]:
    """`align` of the spoken part of a recording, in the times of the whole."""
    first, last = (round(min(max(time, 0), len(sound) / SAMPLE_RATE) * SAMPLE_RATE) for time in source.spoken_s)
    phones, words = align(decoder, sound[first:last], source.text)
    if refine:
        rough, phones = phones, refine(sound[first:last], phones)
        words = _moved(words, rough, phones)
    return tuple([(a + first / SAMPLE_RATE, b + first / SAMPLE_RATE, name) for a, b, name in part] for part in (phones, words))


def _moved(words: list[Segment], rough: list[Segment], fine: list[Segment]) -> list[Segment]:
    """The words with their phonemes, which are the same ones at other times."""
    before, after = (np.array([segment[:2] for segment in side if segment[2] != "pau"]) for side in (rough, fine))
    starts = np.interp([start for start, *_ in words], before[:, 0], after[:, 0]).tolist()
    ends = np.interp([end for _, end, _ in words], before[:, 1], after[:, 1]).tolist()
    return [(start, end, word) for start, end, (*_, word) in zip(starts, ends, words, strict=True)]


def read_transcribed(folder: Path) -> Iterator[Source]:
    """transcripts.tsv: <voice>/<name>.flac and its text; a voice `lj` is `real/lj`."""
    for line in (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, text = line.split("\t")
        yield Source(f"real/{Path(name).parent}", Path(name).stem, text, folder / name)


def read_grid(clips: Path, alignments: Path, speaker: str) -> Iterator[Source]:
    """Clips of a speaker of GRID, with the words of the table clip, start_s, end_s, word. Raises UserError."""
    for name, said in sorted(read_alignments(alignments).items()):
        if said:
            span = (said[0][0] - MARGIN_S, said[-1][1] + MARGIN_S)
            yield Source(f"real/grid_{speaker}", name, " ".join(word for *_, word in said), clips / f"{name}.mp4", span)


def read_asterisk(folder: Path, texts: Path) -> Iterator[Source]:
    """Asterisk's English prompts: <folder>/en*/<name>.g722, and the list of `name: text`."""
    with gzip.open(texts, "rt", encoding="utf-8") as lines:
        for line in lines:
            name, colon, text = line.strip().partition(": ")
            path = next(folder.glob(f"en*/{name}.g722"), None) if colon and name and not name.startswith(";") else None
            if path:
                yield Source("real/asterisk", name.replace("/", "-"), text, path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--speech", type=Path, help="folder with transcripts.tsv: recordings and their texts")
    parser.add_argument("--grid-clips", type=Path, help="folder of GRID's clips")
    parser.add_argument("--grid-alignments", type=Path, help="their words: clip, start_s, end_s, word")
    parser.add_argument("--grid-speaker", default="s1", help="whose clips they are (%(default)s)")
    parser.add_argument("--asterisk", type=Path, help="of Debian's asterisk-core-sounds-en-g722: /usr/share/asterisk/sounds")
    parser.add_argument("--asterisk-texts", type=Path, default=ASTERISK_TEXTS, help="of asterisk-core-sounds-en (%(default)s)")
    parser.add_argument("--aligner", type=Path, help="what `atl-corpus aligner` wrote: better times than pocketsphinx's own")
    parser.add_argument("--out", type=Path, required=True, help="the library; what is there is kept")


def run(options: argparse.Namespace) -> None:
    """Raises UserError: nothing was given, or a folder lacks what it should hold."""
    sources = []
    if (options.grid_clips is None) != (options.grid_alignments is None):
        raise UserError("GRID needs both --grid-clips and --grid-alignments.")
    try:
        if options.speech:
            sources += read_transcribed(options.speech)
        if options.grid_clips:
            sources += read_grid(options.grid_clips, options.grid_alignments, options.grid_speaker)
        if options.asterisk:
            sources += read_asterisk(options.asterisk, options.asterisk_texts)
    except (OSError, ValueError) as error:
        raise UserError(f"A list of texts can't be read ({error}).") from error
    if not sources:
        raise UserError("No recordings found: give --speech, --grid-clips with --grid-alignments, or --asterisk.")
    unknown = sorted({source.voice for source in sources} - VOICES.keys())
    if unknown:
        raise UserError(f"Whose voice and which licence is {unknown[0]}? Add it to training/atl_training/corpus/voices.py.")
    skipped = prepare(sources, options.out, refiner(options.aligner))
    if len(skipped) == len(sources):
        raise UserError(f"None of {len(sources)} recordings could be used; the first: {skipped[0]}.")
    print(f"{len(sources) - len(skipped)} of {len(sources)} recordings aligned", *skipped, sep="\n")
