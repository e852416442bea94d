"""The files of a rosbag2 and the raw messages in them, whatever shape the bag is in.

Files are opened one by one and message compression is told by its magic number, so a bag needs no metadata.yaml; where
there is one, it says which files are the bag's. A damaged file gives what can be read of it, and a line that says so.
"""
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import yaml
from backports import zstd
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from atl_evaluation.cut_mcap import is_cut, mend
from atl_face.errors import UserError

SUFFIXES = (".mcap", ".db3")
PACKED = ".zstd"  # what `ros2 bag record --compression-mode file` adds
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878; a serialized message begins with 00 (its encapsulation's kind)
IDL_RULE = "=" * 80 + "\n"


@cache
def own_types() -> Typestore:
    """ROS's standard messages and ours, for bags without definitions (older sqlite3 ones) and for writing."""
    store = get_typestore(Stores.LATEST)
    types = {}
    for file in sorted(_messages_folder().glob("*.msg")):
        types |= get_types_from_msg(file.read_text(), f"atl_msgs/msg/{file.stem}")
    store.register(types)
    return store


def _messages_folder() -> Path:
    """Where atl_msgs' .msg files are: installed where the workspace is, else beside the sources."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folder = Path(prefix, "share", "atl_msgs", "msg")
        if prefix and folder.is_dir():
            return folder
    return Path(__file__).resolve().parents[2] / "atl_msgs" / "msg"


class BagFiles:
    """The open files of a bag; a context manager.

    Args:
        path: the bag's folder, or one .mcap or .db3 file.

    Attributes:
        path: with `~` expanded.
        files: the storage files.
        topics: name -> (type, number of messages); a topic that was recorded with two types has the first one's.
        problems: what was wrong with the files, a line each.

    Raises:
        UserError: there is no such bag (`no_file`), or nothing in it can be read (`no_bag`).
    """

    def __init__(self, path: str | Path):
        self.path = _existing(path)
        self.problems: list[str] = []
        self.files = self._find_files()
        self._stack = ExitStack()
        self._readers: list[Reader] = []
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atl-bag-")))
            for file in self.files:
                try:
                    self._readers.append(stack.enter_context(Reader(self._prepare(file, folder))))
                except Exception as error:  # damaged bytes break the libraries in many ways
                    self.problems.append(f"{file.name} can't be read ({_reason(error)}).")
            if not self._readers:
                raise UserError(f"{self.path} is no bag that can be read: {' '.join(self.problems)}", "no_bag")
            self._stack = stack.pop_all()
        self.topics: dict[str, tuple[str, int]] = {}
        for connection in self._connections():
            kind, count = self.topics.get(connection.topic, (connection.msgtype, 0))
            self.topics[connection.topic] = kind, count + connection.msgcount

    def __enter__(self) -> "BagFiles":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def _connections(self) -> Iterator[Connection]:
        for reader in self._readers:
            yield from reader.connections

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, log time in ns, serialized message) of these topics, file by file: not in the order of time.

        `unpacked` makes of a message what can be deserialized.
        """
        for reader in self._readers:
            connections = [c for c in reader.connections if c.topic in topics]
            if not connections:
                continue
            # rosbags refuses to sort a file without an index; whoever sorts afterwards doesn't need it to
            unindexed = reader.path.suffix == ".mcap" and not reader.storage.chunks
            source = reader.storage.messages_scan(connections) if unindexed else reader.messages(connections)
            try:
                for connection, log_ns, data in source:
                    yield connection.topic, connection.msgtype, log_ns, data
            except Exception as error:  # as above
                self.problems.append(f"{reader.path.name} is damaged: the rest of it was left out ({_reason(error)}).")

    def types(self, kinds: Collection[str]) -> dict[str, Typestore]:
        """For each of these message types the store to deserialize it with: the bag's own definition before ours."""
        bags_own, found = get_typestore(Stores.EMPTY), dict.fromkeys(kinds, own_types())
        for connection in self._connections():
            kind = connection.msgtype
            if kind not in kinds or found[kind] is bags_own or connection.msgdef.format == MessageDefinitionFormat.NONE:
                continue
            try:
                bags_own.register(_parsed(connection))
                found[kind] = bags_own
            except Exception as error:  # a grammar of theirs, fed with anything
                self.problems.append(f"The bag's definition of {kind} can't be used ({_reason(error)}); ours was.")
        return found

    def _find_files(self) -> list[Path]:
        """The bag's storage files, in the order of their names."""
        if self.path.is_file():
            files = [self.path]
        else:
            files = self._listed_files() or list(self.path.iterdir())
        files = sorted(f for f in files if f.name.removesuffix(PACKED).endswith(SUFFIXES))
        if not files:
            raise UserError(f"{self.path} is no bag: give a folder that `ros2 bag record` or `atl record` wrote, or a file "
                            ".mcap or .db3 of it.", "no_bag")  # fmt: skip
        return files

    def _listed_files(self) -> list[Path]:
        """The files that metadata.yaml names and that are there; empty where it can't say."""
        try:
            listed = yaml.safe_load((self.path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
            files = [self.path / Path(name).name for name in listed["relative_file_paths"]]
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
            self.problems.append("metadata.yaml is missing or damaged: all storage files of the folder were read.")
            return []
        if missing := [file.name for file in files if not file.exists()]:
            self.problems.append(f"{len(missing)} files of the bag are missing: {', '.join(missing)}.")
        return [file for file in files if file.exists()]

    def _prepare(self, file: Path, folder: Path) -> Path:
        """The file itself, or, in `folder`, a copy of it that is unpacked or mended."""
        if file.name.endswith(PACKED):
            packed, file = file, folder / file.name.removesuffix(PACKED)
            try:
                with zstd.open(packed, "rb") as source, open(file, "wb") as target:
                    shutil.copyfileobj(source, target)
            except (EOFError, zstd.ZstdError):
                self.problems.append(f"{packed.name} was cut off: what could be unpacked of it was read.")
        if file.suffix == ".mcap" and is_cut(file):
            cut, file = file, folder / f"mended_{file.name}"
            mend(cut, file)
            self.problems.append(f"{cut.name} was cut off (its recorder was killed?): what is there of it was read.")
        return file


def _existing(path: str | Path) -> Path:
    """The path of a bag, `~` expanded."""
    try:
        found = Path(path).expanduser()
        if found.exists():
            return found
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a NUL in it, no such ~user
        raise UserError(f"The bag {str(path)!r} can't be opened ({_reason(error)}).", "unreadable") from error
    raise UserError(f"There is no bag {str(found)!r}.", "no_file")


def unpacked(data: bytes) -> bytes:
    """A message without `ros2 bag record --compression-mode message`'s packing."""
    return zstd.decompress(data) if data[:4] == ZSTD_MAGIC else data


def _parsed(connection: Connection) -> dict:
    """The types in a bag's own definition of a message."""
    text = connection.msgdef.data
    if connection.msgdef.format == MessageDefinitionFormat.MSG:
        return get_types_from_msg(text, connection.msgtype)
    parts = [part.partition("\n")[2] for part in text.split(IDL_RULE)[1:]] if text.startswith(IDL_RULE) else [text]
    types = {}
    for part in parts:
        types |= get_types_from_idl(part)
    return types


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
