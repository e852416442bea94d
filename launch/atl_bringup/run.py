"""`atl run`: the whole graph, with the arguments of the launch file."""

from __future__ import annotations

import argparse

from atl_bringup.graph import DISPLAYS, avatar_graph
from atl_bringup.supervise import supervise


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "run",
        description="Start the whole graph; Ctrl-C ends it. What is left out, the parameter file decides.",
    )
    parser.add_argument(
        "--audio", default="", metavar="FILE|mic|topic|silence", help="default: a shipped clip"
    )
    parser.add_argument(
        "--portrait", default="", metavar="FILE", help="picture of a face; default: a synthetic one"
    )
    parser.add_argument("--display", default="", choices=DISPLAYS, help="default: web, or file with --out")
    parser.add_argument("--out", default="", metavar="CLIP.mp4", help="record; the graph ends with the sound")
    parser.add_argument("--port", default="", help="TCP port of the page; default: 8080")
    parser.add_argument("--host", default="", help="the page's address; default: 127.0.0.1; 0.0.0.0: seen from elsewhere")
    parser.add_argument("--loop", action=argparse.BooleanOptionalAction, help="play the file for ever")
    parser.add_argument("--namespace", default="", help="of nodes and topics; default: robot_face")
    parser.add_argument("--params", default="", metavar="FILE.yaml", help="over the shipped parameters")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    return supervise(
        avatar_graph(
            audio=chosen.audio,
            portrait=chosen.portrait,
            display=chosen.display,
            out=chosen.out,
            port=chosen.port,
            host=chosen.host,
            loop=chosen.loop,
            namespace=chosen.namespace,
            params=chosen.params,
        )
    )
