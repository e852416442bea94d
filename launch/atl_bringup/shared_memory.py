"""Gives back the shared memory of nodes that crashed: Fast DDS leaves a killed process's segment (33 MB) behind."""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

SEGMENT = re.compile(r"fastdds_[0-9a-f]{16}")
YOUNG_S = 5.0  # a process that is just starting may not have locked its segment yet


def sweep(folder: Path = Path("/dev/shm")) -> int:
    """Removes the segments in `folder` whose owner is gone; returns how many.

    The owner of the segment S holds an flock on S_el as long as it lives (Fast DDS's RobustExclusiveLock; its own
    tool `fastdds shm clean` looks at the same). Files of other users are left alone.
    """
    if not folder.is_dir():
        return 0
    swept = 0
    for segment in folder.iterdir():
        if SEGMENT.fullmatch(segment.name) and _abandoned(segment):
            segment.unlink(missing_ok=True)
            segment.with_name(f"{segment.name}_el").unlink(missing_ok=True)
            swept += 1
    return swept


def _abandoned(segment: Path) -> bool:
    try:
        status = segment.stat()
        if status.st_uid != os.getuid() or time.time() - status.st_ctime < YOUNG_S:
            return False
        with open(segment.with_name(f"{segment.name}_el"), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except (BlockingIOError, FileNotFoundError, PermissionError):
        return False
