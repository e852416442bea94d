"""A process that draws frames keeps its memory: what one frame has freed, the next has without the kernel."""
import os
import platform
import subprocess
import sys

import pytest

# 24 MB in arrays that are freed together, as a frame's are, but large enough to exceed glibc's own threshold for sure.
CODE = """
import resource, sys
import numpy as np
from atl_diffusion_node.process import prepare_process
if sys.argv[1] == "prepared":
    prepare_process()
for turn in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Page faults of the last turn."""
    done = subprocess.run([sys.executable, "-c", CODE, how], check=True, capture_output=True, text=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_is_kept():
    if faults("as it is") < 1000:
        pytest.skip("this kernel hands out large pages, so that memory comes again at once")
    assert faults("prepared") < 100


LONELY = """
import time
import atl_diffusion_node.guide as guide
points = guide.np.random.default_rng(0).random((68, 2))
guide.guide_mask(points, 256)
before = time.process_time()
for turn in range(50):
    guide.guide_mask(points, 256)
    time.sleep(0.01)
print(time.process_time() - before)
"""


def test_no_thread_spins_between_frames():
    """Not even where nobody has set an environment for the node, as a launch file of one's own."""
    bare = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", LONELY], env=bare, check=True, capture_output=True, text=True, timeout=60)
    assert float(done.stdout) < 0.2, "half a second of pauses, in most of which a second thread would have been busy"
