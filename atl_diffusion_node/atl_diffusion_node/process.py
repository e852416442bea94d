"""What a process that draws frames is set to, all of it."""
import ctypes

import cv2

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_MAPPED_FROM = 32 << 20  # bytes; the largest that glibc takes
_KEPT = 256 << 20  # bytes; far more than a frame's arrays


def prepare_process() -> None:
    """To be called once, before the first frame.

    OpenCV gets one thread: a pool of its own would fight with the network's for the cores.

    glibc keeps memory that was freed. A frame's arrays are some hundred kB to a few MB each; by glibc's own rules they may go
    back to the kernel after every frame, by luck of how they lie, and come again page by page: up to 2,000 page faults a frame,
    a quarter of its time (`atl bench` counts them). Without glibc nothing is set.
    """
    cv2.setNumThreads(1)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
    mallopt(_TRIM_THRESHOLD, _KEPT)
