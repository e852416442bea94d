"""How a command of the training ends: mistakes are told in a sentence."""
import sys
from collections.abc import Callable

from atl_face.errors import UserError

EXIT_USER_ERROR = 2  # as the command atl; 1 is a verdict: an aim that is missed
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a command and end the process with what it returns; see `exit_status`."""
    sys.exit(exit_status(main))


def exit_status(work: Callable[[], int | None]) -> int:
    """What `work` returns (None is 0); its mistakes are told on stderr in a sentence, without a traceback."""
    try:
        return work() or 0
    except UserError as error:
        return _fail(str(error))
    except OSError as error:  # a folder that isn't there or can't be written, a full disk
        return _fail(f"{error.filename or ''}: {error.strerror or error}.".removeprefix(": "))
    except ImportError as error:
        return _fail(f"{error}: `make training` installs what training needs.")
    except KeyboardInterrupt:
        return _fail("interrupted.", EXIT_INTERRUPTED)


def _fail(sentence: str, status: int = EXIT_USER_ERROR) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return status
