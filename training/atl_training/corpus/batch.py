"""A whole corpus: many people's clips on many processes, resumable, in shards.

    atl-corpus make --out corpus

The unit of work is a person: setting up a head costs as much as a second of its video. Each finished clip lies in OUT/.parts
as a tar file of its own until all people of its shard are there; a shard is joined, then its parts are deleted. So a
kill at any point costs the clips in progress and nothing else.
"""
import argparse
import fcntl
import hashlib
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE
from atl_training.corpus.assets import Assets, find_makehuman
from atl_training.corpus.cast import identity_name, make_cast
from atl_training.corpus.clip import VERSION, make_clip
from atl_training.corpus.engines import ENGINES, run_jobs
from atl_training.corpus.head import HeadKit
from atl_training.corpus.look import random_scene
from atl_training.corpus.motion import TURN
from atl_training.corpus.recordings import Recordings, refiner
from atl_training.corpus.replay import Motions
from atl_training.corpus.script import Sources
from atl_training.corpus.speech import Speaker
from atl_training.corpus.text import ALL_SENTENCES
from atl_training.corpus.voices import VOICES, Manner
from atl_training.shards import join_shards, write_shard

PEOPLE_A_SHARD = 20  # 40 clips of 4.6 s are about 30 MB
LICENCES = ("any", "cc0")


@dataclass(frozen=True)
class Plan:
    """What a corpus is made of; two runs of one plan make the same corpus. draft: without pictures, for which size is that of
    the frame that the landmarks are given in. recordings, motions, aligner: fingerprints of what they hold, or empty."""

    seed: int
    identities: int
    clips: int
    seconds: float
    size: int
    draft: bool
    licence: str
    recordings: str
    motions: str
    aligner: str = ""
    turn: float = TURN
    version: int = VERSION

    def shards(self) -> dict[str, list[str]]:
        """Shard name -> its people."""
        names = [identity_name(self.seed, index) for index in range(self.identities)]
        starts = range(0, len(names), PEOPLE_A_SHARD)
        return {f"corpus-s{self.seed}-{number:05d}": names[at : at + PEOPLE_A_SHARD] for number, at in enumerate(starts)}

    def keys(self, name: str) -> list[str]:
        """The clips of a person."""
        return [f"{name}_{index}" for index in range(self.clips)]


@dataclass(frozen=True)
class Places:
    """Where a run finds things."""

    makehuman: Path
    cache: Path
    parts: Path
    recordings: Path | None
    motions: Path | None
    aligner: Path | None = None


@lru_cache(maxsize=1)
def _workshop(plan: Plan, places: Places):
    """What a worker process keeps: assets, kit, speech engines, OpenGL context."""
    cv2.setNumThreads(1)
    assets = Assets(places.makehuman, places.cache)
    kit = HeadKit(assets)
    sources = Sources(
        Speaker(places.cache, refiner(places.aligner)),
        Recordings(places.recordings) if places.recordings else None,
        Motions(places.motions) if places.motions else None,
        free=plan.licence == "cc0",
    )
    if plan.draft:
        return assets, kit, sources, None
    from atl_training.corpus.renderer import Renderer  # only here: a draft needs no OpenGL

    return assets, kit, sources, Renderer(kit, plan.size)


def _make_person(plan: Plan, places: Places, name: str) -> tuple[str, int]:
    """Write what is missing of a person's clips; returns their name and how many were written."""
    todo = [index for index, key in enumerate(plan.keys(name)) if not (places.parts / f"{key}.tar").exists()]
    if not todo:
        return name, 0
    assets, kit, sources, renderer = _workshop(plan, places)
    cast = make_cast(assets, kit, name)
    if renderer is not None:
        renderer.set_head(cast.head, cast.person, random_scene(np.random.default_rng(0)))
    for index in todo:
        sample = make_clip(cast, index, sources, renderer, seconds=plan.seconds, size=plan.size, turn=plan.turn)
        write_shard(places.parts / f"{sample.key}.tar", [sample])
    return name, len(todo)


def make_corpus(plan: Plan, places: Places, out: Path, *, part: tuple[int, int] = (0, 1), engine: str = "local",
                workers: int, note: Callable[[int], None] = lambda clips: None) -> int:  # fmt: skip
    """Make the shards of a plan that are not in `out` yet; of them only every part[1]-th, beginning with part[0]. Returns
    how many clips were made now; `note` is told after every person."""
    Assets(places.makehuman, places.cache)  # parsed once, before the workers start
    shards = list(plan.shards().items())[part[0] :: part[1]]
    missing = {shard: people for shard, people in shards if not (out / f"{shard}.tar").exists()}
    for shard, people in shards:
        if shard not in missing:  # a kill between joining and tidying left these
            for key in (key for person in people for key in plan.keys(person)):
                (places.parts / f"{key}.tar").unlink(missing_ok=True)
    waiting = {shard: set(people) for shard, people in missing.items()}
    shard_of = {name: shard for shard, people in missing.items() for name in people}
    made = plan.clips * sum(len(people) for shard, people in shards if shard not in missing)
    if shard_of:
        _require_voices(plan, places)
    count = 0
    with tqdm(total=made + len(shard_of) * plan.clips, initial=made, unit="clip", smoothing=0.05) as bar:
        for name, written in run_jobs(engine, partial(_make_person, plan, places), list(shard_of), workers):
            count += written
            note(count)
            bar.update(plan.clips)
            shard = shard_of[name]
            waiting[shard].discard(name)
            if not waiting[shard]:
                keys = [key for person in missing[shard] for key in plan.keys(person)]
                parts = [places.parts / f"{key}.tar" for key in keys]
                join_shards(out / f"{shard}.tar", parts)
                for path in parts:
                    path.unlink()
    return count


def _require_voices(plan: Plan, places: Places) -> None:
    """Let every engine and every package of voices say a word, so that what isn't installed is told now and not in the middle
    of the night. Raises UserError."""
    spoken = [voice for voice in VOICES.values() if voice.engine != "real" and (voice.free or plan.licence != "cc0")]
    packages = {voice.name if voice.engine == "festival" else voice.engine: voice.name for voice in spoken}
    with Speaker(places.cache) as speaker:
        for name in packages.values():
            speaker.say(ALL_SENTENCES[VOICES[name].language][0], Manner(name))


@contextmanager
def _sole_run(plan: Plan, places: Places, out: Path, part: tuple[int, int]) -> Iterator[None]:
    """Hold the shards of this run, and the folder for this plan; raises UserError where that can't be."""
    places.parts.mkdir(parents=True, exist_ok=True)
    kept = out / "plan.json"
    if not kept.exists():
        _write_whole(kept, json.dumps(asdict(plan), indent=1))
    if json.loads(kept.read_text()) not in (asdict(plan), _as_before_turns(plan)):
        raise UserError(f"{out} holds a corpus of other settings ({kept}): give another --out, or the same settings.")
    with ExitStack() as locks:
        for shard in list(plan.shards())[part[0] :: part[1]]:
            lock = locks.enter_context((places.parts / f"{shard}.lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"Another run is writing {shard} into {out}: wait for it, or give another --out or --shard."
                                ) from error  # fmt: skip
        yield


def _as_before_turns(plan: Plan) -> dict:
    """What a plan looked like before heads could be asked to turn."""
    return {name: value for name, value in asdict(plan).items() if name != "turn" or value != TURN}


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is there only when it is complete."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_text(text)
    partial.replace(path)


def _noting(out: Path, part: tuple[int, int], options: argparse.Namespace) -> Callable[[int], None]:
    """A function of the clips made so far that adds them and the time since now to OUT/run.json (run-i-of-n.json), which the
    data card tells. A kill loses nobody's time but that of the person who was being made."""
    path = out / ("run.json" if part[1] == 1 else f"run-{part[0] + 1}-of-{part[1]}.json")
    before, began = json.loads(path.read_text()) if path.exists() else {}, time.time()
    told = {"command": " ".join(["atl-corpus", *map(shlex.quote, sys.argv[1:])]),
            "machine": f"{platform.machine()}, {os.cpu_count()} threads", "workers": options.workers,
            "engine": options.engine}  # fmt: skip

    def note(clips: int) -> None:
        sums = {"clips_made": before.get("clips_made", 0) + clips,
                "seconds": round(before.get("seconds", 0) + time.time() - began, 3)}  # fmt: skip
        _write_whole(path, json.dumps(told | sums, indent=1))

    return note


def _fingerprint(place: Path | None, what: str) -> str:
    """Of a file, or of the names and contents of a library's files. Raises UserError: it has none."""
    if place is None:
        return ""
    files = [place] if what == "aligner" else sorted(place.rglob("*.npz"))
    if not files:
        raise UserError(f"{place} holds no {what}: make them with `atl-corpus {what}`.")
    told = hashlib.sha256()
    for path in files:
        told.update(path.relative_to(place).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()[:16]


def _whole(path: Path | None) -> Path | None:
    """A path that means the same in every process of every machine that shares the disk."""
    return path.resolve() if path else None


def _part(text: str) -> tuple[int, int]:
    """`i/n`, i from 1, as (i - 1, n)."""
    try:
        index, count = (int(word) for word in text.split("/"))
    except ValueError:
        index, count = 0, 0
    if not 1 <= index <= count:
        raise argparse.ArgumentTypeError(f"must be i/n with 1 <= i <= n, as 2/8, not {text!r}")
    return index - 1, count


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards; a run into it goes on where it stopped")
    parser.add_argument("--identities", type=_positive, default=400)
    parser.add_argument("--clips", type=_positive, default=2, help="of a person (%(default)s)")
    parser.add_argument("--seconds", type=_between(2, 600, ": a sentence has to fit"), default=4.6,
                        help="of a clip (%(default)s: with the other defaults an hour)")  # fmt: skip
    parser.add_argument("--size", type=_positive, default=288, help="px, even (%(default)s: the renderer's 256 px crop fits in)")
    parser.add_argument("--seed", type=int, default=0, help="namespace of the identities: other seeds are other people")
    parser.add_argument("--turn", type=_between(1, 40, ": farther, half a face is hidden"), default=TURN,
                        help="degrees that heads may turn about each axis (%(default)g)")  # fmt: skip
    parser.add_argument("--draft", action="store_true", help="sound and ground truth only")
    parser.add_argument("--licence", choices=LICENCES, default="any", help="cc0: only what is CC0 or public domain")
    parser.add_argument("--recordings", type=Path, help="real voices: what `atl-corpus recordings` wrote")
    parser.add_argument("--motions", type=Path, help="real motion: what `atl-corpus motions` wrote")
    parser.add_argument("--aligner", type=Path, help="what `atl-corpus aligner` wrote: better times for Kokoro's phonemes")
    parser.add_argument("--shard", type=_part, default=(0, 1), metavar="i/n", help="this machine's share of the shards")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--workers", type=_positive, default=os.cpu_count(), help="processes (one a core)")


def _between(low: float, high: float, why: str) -> Callable[[str], float]:
    """What reads an option's number that must lie between two."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must lie between {low:g} and {high:g}{why}, not {text!r}")
        return value

    return number


def run(options: argparse.Namespace) -> None:
    """Raises UserError: something is missing, or the folder is another run's."""
    if options.size % 2:
        raise UserError("--size must be even: H.264 wants it.")
    out = _whole(options.out)
    places = Places(_whole(find_makehuman(options.makehuman_data)), _whole(options.cache), out / ".parts",
                    _whole(options.recordings), _whole(options.motions), _whole(options.aligner))  # fmt: skip
    refiner(places.aligner)  # told now, before the folder is this plan's
    plan = Plan(options.seed, options.identities, options.clips, options.seconds, options.size, options.draft, options.licence,
                _fingerprint(places.recordings, "recordings"), _fingerprint(places.motions, "motions"),
                _fingerprint(places.aligner, "aligner"), options.turn)  # fmt: skip
    began = time.time()
    with _sole_run(plan, places, out, options.shard):
        clips = make_corpus(plan, places, out, part=options.shard, engine=options.engine, workers=options.workers,
                            note=_noting(out, options.shard, options))  # fmt: skip
    seconds, material = time.time() - began, clips * plan.seconds
    print(f"{clips} clips, {material / 3600:.2f} h, made in {seconds:.0f} s: {material * FRAME_RATE / seconds:.1f} frames/s, "
          f"{material / seconds:.1f} x real time")  # fmt: skip
