"""Mend an mcap file whose recorder was killed: it has no index and no footer, and its last record is cut off.

Layout: magic, then records (opcode 1 byte, length 8 bytes, content), then magic; a chunk is a record that holds records,
compressed (the MCAP file format's specification, https://mcap.dev/spec).
"""
import io
import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

import lz4.frame
from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
FOOTER, CHUNK, DATA_END = 0x02, 0x06, 0x0F
HEAD = struct.Struct("<BQ")  # of a record
CHUNK_HEAD = struct.Struct("<QQQII")  # start, end, unpacked size, checksum, length of the compression's name
NO_INDEX = HEAD.pack(DATA_END, 4) + bytes(4) + HEAD.pack(FOOTER, 20) + bytes(20) + MAGIC  # readers then scan the file


def is_cut(file: Path) -> bool:
    """Whether the file begins as an mcap does and doesn't end as one."""
    with file.open("rb") as source:
        begins = source.read(len(MAGIC)) == MAGIC
        source.seek(-min(len(MAGIC), file.stat().st_size), os.SEEK_END)
        return begins and source.read() != MAGIC


def mend(cut: Path, mended: Path) -> None:
    """Write `mended`: all whole records of the file `cut`, those of a chunk that is cut off too, and a footer."""
    shutil.copyfile(cut, mended)
    with mended.open("r+b") as file:
        file.seek(len(MAGIC))
        end, opcode = _whole_records(file, cut.stat().st_size)
        file.seek(end + HEAD.size)
        records = _unpacked(file.read()) if opcode == CHUNK else b""
        file.seek(end)
        file.truncate()
        file.write(records[: _whole_records(io.BytesIO(records), len(records))[0]])
        file.write(NO_INDEX)


def _whole_records(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Where the records that are whole and hold data end, from the stream's position on; and the opcode of what follows."""
    end = stream.tell()
    while True:
        stream.seek(end)
        head = stream.read(HEAD.size)
        if len(head) < HEAD.size:
            return end, 0
        opcode, length = HEAD.unpack(head)
        if opcode in (0, DATA_END, FOOTER) or end + HEAD.size + length > size:
            return end, opcode
        end += HEAD.size + length


def _unpacked(chunk: bytes) -> bytes:
    """What the beginning of a chunk's content unpacks to."""
    if len(chunk) < CHUNK_HEAD.size:
        return b""
    name_length = CHUNK_HEAD.unpack_from(chunk)[-1]
    name = chunk[CHUNK_HEAD.size : CHUNK_HEAD.size + name_length]
    data = chunk[CHUNK_HEAD.size + name_length + 8 :]
    try:
        if name == b"zstd":
            return zstd.ZstdDecompressor().decompress(data)
        if name == b"lz4":
            return lz4.frame.LZ4FrameDecompressor().decompress(data)
    except (zstd.ZstdError, RuntimeError):  # its bytes are wrong, not only missing
        return b""
    return data
