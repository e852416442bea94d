"""What every worker process does first: it leaves Ctrl-C to its parent, and ends when its parent is gone."""
import multiprocessing
import os
import signal
import threading


def begin_worker() -> None:
    """Initializer of a process pool. A parent that is killed can't end its workers: they would write on for hours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
