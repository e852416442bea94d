"""`atl interrupt`: the running face is silent at once, as by its service `interrupt`."""

import argparse

from atl_bringup.arguments import face_namespace
from atl_bringup.parameter_file import NAMESPACE
from atl_face.errors import UserError


def add_parser(subparsers) -> None:
    """Adds `interrupt` to the `atl` command."""
    parser = subparsers.add_parser("interrupt", description=__doc__)
    parser.add_argument("--namespace", type=face_namespace, default=NAMESPACE, help="of the face (%(default)s)")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    """Prints the face's answer."""
    from std_srvs.srv import Trigger

    from atl_bringup.client import call, client

    with client(chosen.namespace) as node:
        answer = call(node, Trigger, "interrupt", Trigger.Request())
    if not answer.success:
        raise UserError(answer.message, "refused")
    print(answer.message)
    return 0
