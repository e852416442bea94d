"""A lifecycle node for the tests of the bring-up: tells its transitions, and fails where it is told to.

Parameters: `refuse` (configure raises a UserError), `break_once` (configure has a bug, once),
`end_code` (>= 0: the process ends so, once active).
"""

import os
import sys
import threading
from pathlib import Path

from atl_face.errors import UserError
from atl_node.node import AtlNode
from atl_node.params import Parameter
from atl_node.run import run_node

PARAMETERS = [
    Parameter("refuse", False, "Refuse to be configured."),
    Parameter("break_once", "", "A file: when it is there, configure removes it and fails."),
    Parameter("end_code", -1, "End the process with this exit code once active."),
    Parameter("hang", False, "Ignore the end: for the supervisor's SIGKILL."),
]


class DummyNode(AtlNode):
    def __init__(self):
        super().__init__("dummy", PARAMETERS)

    def _say(self, word: str) -> None:
        print(word, self.get_name(), os.getpid(), flush=True)

    def configure(self):
        if self.value("refuse"):
            raise UserError("No face in the picture: give another.", "no_face")
        if (mark := self.value("break_once")) and Path(mark).exists():
            Path(mark).unlink()
            raise ZeroDivisionError
        self._say("configured")

    def activate(self):
        self._say("activated")
        if self.value("end_code") >= 0:
            self.create_timer(0.2, lambda: self.finish(self.value("end_code")))

    def cleanup(self):
        self._say("cleaned")
        if self.value("hang"):
            threading.Event().wait()


if __name__ == "__main__":
    sys.exit(run_node(DummyNode))
