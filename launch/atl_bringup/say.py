"""`atl say`: the running face says a text (needs the program `espeak-ng` where it runs) or a sound file, as by its action `say`.
Ctrl-C ends it."""

import argparse
from contextlib import suppress
from pathlib import Path

import numpy as np

from atl_bringup.arguments import face_namespace
from atl_bringup.parameter_file import NAMESPACE
from atl_face.emotion import LABELS
from atl_face.errors import UserError
from atl_face.media import read_audio
from atl_face.pcm import to_int16
from atl_face.stream import SAMPLE_RATE

CANCEL_S = 3.0  # for the face to hear that it shall be silent


def add_parser(subparsers) -> None:
    """Adds `say` to the `atl` command."""
    parser = subparsers.add_parser("say", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", default="", help="to speak")
    what.add_argument("--audio", type=Path, metavar="FILE", help="any sound or video file instead")
    parser.add_argument("--emotion", choices=LABELS, default="", help="worn while it speaks (default: the one that it wears)")
    parser.add_argument("--namespace", type=face_namespace, default=NAMESPACE, help="of the face (%(default)s)")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    """Waits until all was said; prints how it ended."""
    samples = to_int16(read_audio(chosen.audio)) if chosen.audio else []
    from rclpy.action import ActionClient

    from atl_bringup.client import FOUND_S, client, require, wait_for
    from atl_msgs.action import Say
    from atl_msgs.msg import Expression
    from atl_node.arrays import to_array

    goal = Say.Goal(text=chosen.text or "", sample_rate=SAMPLE_RATE, expression=Expression(label=chosen.emotion))
    if len(samples):
        goal.samples = to_array(samples)
    with client(chosen.namespace) as node:
        action = ActionClient(node, Say, "say")
        require(action.wait_for_server(FOUND_S), node)
        sent = action.send_goal_async(goal)
        try:
            if not wait_for(node, sent).accepted:
                raise UserError("The face refuses: its audio node is not active.", "refused")
            result = wait_for(node, sent.result().get_result_async(), np.inf).result
        except BaseException:  # Ctrl-C: what was asked for is taken back
            with suppress(UserError):
                if wait_for(node, sent, CANCEL_S).accepted:
                    wait_for(node, sent.result().cancel_goal_async(), CANCEL_S)
            raise
        finally:
            action.destroy()
    if not result.ok:
        raise UserError(result.message, "refused")
    print(result.message)
    return 0
