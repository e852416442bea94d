"""`atl face`: the running face gets another portrait, as by its service `set_portrait`; one that can't be used is refused."""

import argparse
from pathlib import Path

from atl_bringup.arguments import face_namespace
from atl_bringup.parameter_file import NAMESPACE
from atl_face.errors import UserError
from atl_face.files import existing_file


def add_parser(subparsers) -> None:
    """Adds `face` to the `atl` command."""
    parser = subparsers.add_parser("face", description=__doc__)
    parser.add_argument("portrait", type=Path, help="a picture of one face")
    parser.add_argument("--namespace", type=face_namespace, default=NAMESPACE, help="of the face (%(default)s)")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    """The picture itself is sent: the node may run elsewhere. Prints the face's answer."""
    picture = existing_file(chosen.portrait, "picture").read_bytes()
    from atl_bringup.client import call, client
    from atl_msgs.srv import SetPortrait

    with client(chosen.namespace) as node:
        answer = call(node, SetPortrait, "set_portrait", SetPortrait.Request(data=picture))
    if not answer.ok:
        raise UserError(answer.message, "refused")
    print(answer.message)
    return 0
