"""How a command of the training ends: mistakes are told in a sentence."""
import sys
from collections.abc import Callable

from atl_face.errors import UserError

EXIT_USER_ERROR = 2  # as the command atl


def run_tool(main: Callable[[], None]) -> None:
    """Run a command; a UserError ends it with its sentence, without a traceback."""
    try:
        main()
    except UserError as error:
        sys.exit(_told(str(error)))
    except OSError as error:  # a folder that isn't there or can't be written, a full disk
        sys.exit(_told(f"{error.filename or ''}: {error.strerror or error}."))


def _told(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return EXIT_USER_ERROR
