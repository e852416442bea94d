"""Shards: WebDataset tar files of talking-head clips, the one format of the synthetic corpus and of loaded data sets.

A clip `key` is `key.json` (facts), `key.npz` (arrays), `key.flac` (16 kHz mono) and, unless it is a draft, `key.mp4`
(H.264, 25 frames a second, no sound) and perhaps `key.stills.mp4` (portraits of the same person). docs/corpus.md lists the
facts and arrays. Any WebDataset reader opens them; this module is the one that training uses.
"""
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
import soundfile
import webdataset
from webdataset.tariterators import group_by_keys, tar_file_iterator

from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE, SAMPLE_RATE

OWNER = "atl"  # of every member: a shard's bytes must not depend on who made it, nor when


@dataclass
class Sample:
    """One clip.

    Attributes:
        key: unique in a data set, without dots or slashes.
        facts: what holds for the whole clip; always `split` ("train" or "val"), `speaker`, `frames`, `size` (px, 0 for a
            draft), `emotion`, `level` (0-3), `text`, `licences` ([{what, licence, attribution}, ...]).
        arrays: at least `landmarks` (T, 68, 3) in pixels of the video.
        sound: FLAC file. video, stills: MP4 files, None where there is none.
    """

    key: str
    facts: dict
    arrays: dict[str, np.ndarray]
    sound: bytes
    video: bytes | None = None
    stills: bytes | None = None

    @cached_property
    def audio(self) -> np.ndarray:
        """(n,) float32 in [-1, 1], 16 kHz."""
        samples, rate = soundfile.read(io.BytesIO(self.sound), dtype="float32")
        if rate != SAMPLE_RATE or samples.ndim != 1:
            raise UserError(f"{self.key}: sound must be {SAMPLE_RATE} Hz mono, not {rate} Hz; make the shard anew.")
        return samples

    @property
    def held_out(self) -> bool:
        """Whether training must not see it."""
        return self.facts["split"] == "val"

    @property
    def says_something(self) -> bool:
        """Whether there is speech in it, as far as is known: video loaded without alignments doesn't tell."""
        return bool(self.arrays.get("speaking", np.ones(1)).any())

    def frames(self) -> list[np.ndarray]:
        """The video's RGB frames (H, W, 3) uint8; none for a draft."""
        return decode(self.video)

    def still_frames(self) -> list[np.ndarray]:
        """The stills' RGB frames."""
        return decode(self.stills)


def decode(video: bytes | None) -> list[np.ndarray]:
    """RGB frames (H, W, 3) uint8 of an MP4 file in memory; of None, none."""
    if video is None:
        return []
    try:
        with av.open(io.BytesIO(video)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except av.FFmpegError as error:
        raise UserError(f"A clip's video can't be read ({error}); delete its shard and make it anew.") from error


def encode_video(frames: Iterable[np.ndarray], size: int, crf: int = 17) -> bytes:
    """MP4 file (H.264, FRAME_RATE, no sound) of square RGB frames (size, size, 3) uint8, size even.

    crf: x264's quality; 17 costs 2-3 kB a frame at 288 px and hides nothing that a network could learn from.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}  # threads change the bytes
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def encode_sound(samples: np.ndarray) -> bytes:
    """FLAC file (16 bit, 16 kHz) of mono float32 samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return file.getvalue()


def encode_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    """Compressed npz file; the same arrays give the same bytes (numpy writes no time into it)."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def write_shard(path: Path, samples: Iterable[Sample]) -> int:
    """Write samples into the tar file `path`, which is there only when it is complete; returns their number."""
    count = 0
    partial = path.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as file, webdataset.TarWriter(file, user=OWNER, group=OWNER, mode=0o644, mtime=0.0,
                                                          encoder=False) as tar:  # fmt: skip
        for sample in samples:
            members = {"json": json.dumps(sample.facts, indent=1, ensure_ascii=False).encode(),
                       "npz": encode_arrays(sample.arrays), "flac": sample.sound}  # fmt: skip
            if sample.video is not None:
                members["mp4"] = sample.video
            if sample.stills is not None:
                members["stills.mp4"] = sample.stills
            tar.write({"__key__": sample.key} | members)
            count += 1
    partial.replace(path)
    return count


def join_shards(path: Path, parts: Iterable[Path]) -> None:
    """Write the clips of shards `parts` into the shard `path`, byte for byte; it is there only when it is complete."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    with tarfile.open(partial, "w") as whole:
        for part in parts:
            with tarfile.open(part) as one:
                for member in one:
                    whole.addfile(member, one.extractfile(member))
    partial.replace(path)


def find_shards(sources: Iterable[Path]) -> list[Path]:
    """The tar files named, and those in the folders named, sorted. Raises UserError where a source holds none."""
    found = []
    for source in map(Path, sources):
        inside = sorted(source.glob("*.tar")) if source.is_dir() else [source] if source.is_file() else []
        if not inside:
            raise UserError(f"{source} holds no shards (*.tar): make them with `atl-corpus make` or `atl-corpus load`.")
        found += inside
    return found


def read_shards(sources: Iterable[Path]) -> Iterator[Sample]:
    """The samples of shards and of folders of shards, in order. Raises UserError for a file that is no whole shard."""
    for path in find_shards(sources):
        try:
            yield from _read_shard(path)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
            raise UserError(f"{path} is no whole shard of clips ({error.args[0]}); delete it and make it anew.") from error
        except OSError as error:
            raise UserError(f"{path} can't be read ({error.strerror or error}).") from error


def _members(path: Path) -> Iterator[dict]:
    """The clips of a shard as dicts of their members. The stream is opened here: webdataset takes a path's braces for a
    pattern."""
    with path.open("rb") as stream:
        yield from group_by_keys(item | {"__url__": str(path)} for item in tar_file_iterator(stream))


SHARE_ALIKE = "CC-BY-SA"  # in the names of licences that ask derived works for the same; our weights are Apache-2.0


def share_alike(facts: dict) -> bool:
    """Whether something that a clip is made of may only be passed on under its own licence. Training leaves it out."""
    return any(SHARE_ALIKE in ingredient["licence"] for ingredient in facts["licences"])


def read_facts(shard: Path) -> Iterator[tuple[str, dict]]:
    """Keys and facts of a shard's clips, without reading the rest of it."""
    with tarfile.open(shard) as tar:
        for member in tar:
            if member.name.endswith(".json"):
                yield member.name.removesuffix(".json"), json.load(tar.extractfile(member))


def _read_shard(path: Path) -> Iterator[Sample]:
    for item in _members(path):
        with np.load(io.BytesIO(item["npz"]), allow_pickle=False) as arrays:
            sample = Sample(item["__key__"], json.loads(item["json"]), dict(arrays), item["flac"], item.get("mp4"),
                            item.get("stills.mp4"))  # fmt: skip
        if sample.facts["size"] and sample.video is None:
            raise ValueError(f"{sample.key} has lost its video")
        yield sample
