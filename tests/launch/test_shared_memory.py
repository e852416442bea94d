"""Segments of processes that are gone are removed, those of living or just starting ones stay."""

import fcntl
import os
import time

from atl_bringup import shared_memory


def make(folder, name: str):
    segment = folder / name
    segment.write_bytes(b"x")
    (folder / f"{name}_el").touch()
    return segment


def test_only_abandoned_segments_go(tmp_path, monkeypatch):
    now = time.time()
    dead = make(tmp_path, "fastdds_00000000000000aa")
    living = make(tmp_path, "fastdds_00000000000000bb")
    port = make(tmp_path, "fastdds_port7411")
    with open(f"{living}_el", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert shared_memory.sweep(tmp_path) == 0, "too young to be judged"
        monkeypatch.setattr(shared_memory.time, "time", lambda: now + 60)
        assert shared_memory.sweep(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == sorted([living.name, f"{living.name}_el", port.name, f"{port.name}_el"])
    assert not dead.exists()
    assert shared_memory.sweep(tmp_path / "nosuch") == 0
