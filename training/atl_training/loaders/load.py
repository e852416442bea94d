"""A folder of videos as shards: `atl-corpus load --layout grid GRID --out DIR`.

What can't be used is left out and told in a table. A run that was stopped goes on where it was: a shard that is there is
not made again, and what was left out of it stands in the `.report.json` beside it.
"""
import argparse
import csv
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
from tqdm import tqdm

from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE
from atl_training.loaders.clip import make_sample
from atl_training.loaders.layouts import LAYOUTS, Choices, Skipped, Source, list_sources
from atl_training.shards import Sample, write_shard
from atl_training.workers import begin_worker

SPLITS = ("speaker", "clip")
ROWS_SHOWN = 40  # of the table; a screenful, all of them are in skipped.tsv


@dataclass
class Report:
    """What became of a folder: clips and seconds in shards, their speakers, and what was left out."""

    clips: int = 0
    seconds: float = 0.0
    speakers: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Count another report's clips in."""
        self.clips += other.clips
        self.seconds += other.seconds
        self.speakers = sorted({*self.speakers, *other.speakers})
        self.skipped += other.skipped

    def __str__(self) -> str:
        rows = self.skipped[:ROWS_SHOWN]
        width = max((len(row.file) for row in rows), default=0)
        lines = [f"{row.file:{width}}  {row.reason}" for row in rows]
        if more := len(self.skipped) - len(rows):
            lines.append(f"... and {more} more")
        reasons = ", ".join(f"{count} {code}" for code, count in Counter(row.code for row in self.skipped).most_common())
        lines.append(f"clips: {self.clips}, speakers: {len(self.speakers)}, hours: {self.seconds / 3600:.2f}, "
                     f"skipped: {reasons or 'nothing'}")  # fmt: skip
        return "\n".join(lines)


def load(layout: str, root: Path, out: Path, choices: Choices, *, workers: int = 2, clips_a_shard: int = 100,
         split_by: str = "speaker") -> Report:  # fmt: skip
    """Write the clips of a folder as `out`/<data set>-00000.tar ..., and what was left out as `out`/skipped.tsv.

    Args:
        layout: one of LAYOUTS.
        workers: processes.
        clips_a_shard: sources of one shard. A hundred of GRID's 3 s are 22 MB and two minutes' work, if lost.
        split_by: see `clip.make_sample`.

    Raises:
        UserError: nothing was found, `out` can't be written, or its shards are of other clips or options.
    """
    if min(workers, clips_a_shard) < 1:
        raise UserError("A load needs one worker and one clip a shard at least.")
    listing = list_sources(layout, root, choices)
    report = Report(skipped=listing.skipped)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with Workers(workers, partial(make_sample, split_by=split_by)) as pool, tqdm(total=len(listing.sources)) as bar:
            for first in range(0, len(listing.sources), clips_a_shard):
                part = listing.sources[first:first + clips_a_shard]
                path = out / f"{part[0].dataset}-{first // clips_a_shard:05d}.tar"
                report.add(_shard(path, part, split_by, pool, bar))
        _write_table(out / "skipped.tsv", report.skipped)
    except OSError as error:
        raise UserError(f"{out} can't be written ({error}).", "unwritable") from error
    return report


def _shard(path: Path, sources: list[Source], split_by: str, pool: "Workers", bar: tqdm) -> Report:
    """Make a shard and its report, unless they are there."""
    report_path, made_of = path.with_suffix(".report.json"), _fingerprint(sources, split_by)
    if path.exists() and report_path.exists():
        told = json.loads(report_path.read_text(encoding="utf-8"))
        if told.pop("made_of") != made_of:
            raise UserError(f"{path} was made of other clips or with other options: name another folder, or delete it.")
        bar.update(len(sources))
        return Report(**told | {"skipped": [Skipped(**row) for row in told["skipped"]]})
    outcomes = pool.run(sources, bar.update)
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    report = Report(len(samples), sum(sample.facts["frames"] for sample in samples) / FRAME_RATE,
                    sorted({sample.facts["speaker"] for sample in samples}),
                    [outcome for outcome in outcomes if isinstance(outcome, Skipped)])  # fmt: skip
    told = json.dumps({"made_of": made_of} | asdict(report), indent=1, ensure_ascii=False)
    report_path.write_text(told, encoding="utf-8")
    write_shard(path, samples)  # last: a shard that is there has its report
    return report


def _fingerprint(sources: list[Source], split_by: str) -> str:
    """Of all that decides what a shard holds, but for where the data set lies."""
    said = [replace(source, video=Path(source.file), sound=source.sound and Path(source.sound.name)) for source in sources]
    return hashlib.sha256(repr((said, split_by)).encode()).hexdigest()


def _write_table(path: Path, skipped: list[Skipped]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("file", "code", "reason"))
        table.writerows((row.file, row.code, row.reason) for row in skipped)


class Workers:
    """Processes that make samples, and that are replaced when a file kills one.

    Args:
        make: a picklable function of a Source that gives a Sample or raises UserError.
    """

    def __init__(self, count: int, make: Callable[[Source], Sample]):
        self._count, self._make = count, make
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        # mediapipe's threads don't survive a fork
        return ProcessPoolExecutor(self._count, mp_context=get_context("spawn"), initializer=_begin)

    def run(self, sources: list[Source], done: Callable[[], None]) -> list[Sample | Skipped]:
        """What becomes of each source, in order; `done` is called after each.

        A process that dies takes the pool along and doesn't say what it died of, so what is left then goes one by one.
        """
        outcomes = {}
        try:
            futures = {self._pool.submit(_outcome, self._make, source): source.key for source in sources}
            for future in as_completed(futures):
                outcomes[futures[future]] = future.result()
                done()
        except BrokenProcessPool:
            self._pool = self._new_pool()
            for source in sources:
                if source.key not in outcomes:
                    outcomes[source.key] = self._alone(source)
                    done()
        return [outcomes[source.key] for source in sources]

    def _alone(self, source: Source) -> Sample | Skipped:
        try:
            return self._pool.submit(_outcome, self._make, source).result()
        except BrokenProcessPool:
            self._pool = self._new_pool()
            return Skipped(source.file, "crashed", "The process that read it died.")

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exc) -> None:
        self._pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """OpenCV keeps to one thread; mediapipe and codecs don't write across the progress bar."""
    begin_worker()
    cv2.setNumThreads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _outcome(make: Callable[[Source], Sample], source: Source) -> Sample | Skipped:
    try:
        return make(source)
    except UserError as error:
        if error.code == "no_mediapipe":  # no file's fault
            raise
        return Skipped(source.file, error.code, str(error))
    except Exception as error:  # one odd file in a hundred thousand must not end the night's run
        return Skipped(source.file, "failed", f"{type(error).__name__}: {error}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `atl-corpus load`."""
    parser.add_argument("source", type=Path, help="the data set's folder")
    parser.add_argument("--layout", choices=LAYOUTS, required=True, help="how its files lie")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--clips-a-shard", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--split", choices=SPLITS, default="speaker",
                        help="what is held out: a tenth of the speakers or, for data of one speaker, of the clips")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit with 1 if anything was skipped")
    parser.add_argument("--camera", default=Choices.camera, help="MEAD: front, left_30, ... (%(default)s)")
    parser.add_argument("--speaker", default=Choices.speaker, help="GRID, folder: whose clips they are, if one person's")
    parser.add_argument("--alignments", type=Path, help="GRID: table of clip, start_s, end_s, word instead of .align files")
    parser.add_argument("--licence", default=Choices.licence, help="folder: the clips' licence (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Load, print what was skipped and a summary; the exit code. Raises UserError as `load` does."""
    choices = Choices(options.camera, options.speaker, options.alignments, options.licence)
    try:
        report = load(options.layout, options.source, options.out, choices, workers=options.workers,
                      clips_a_shard=options.clips_a_shard, split_by=options.split)  # fmt: skip
    except KeyboardInterrupt:
        print("Stopped. Whole shards are kept: the same command goes on from there.", file=sys.stderr)
        return 130
    print(report)
    return int(options.strict and bool(report.skipped))
