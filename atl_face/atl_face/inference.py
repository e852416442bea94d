"""OpenVINO, which runs the networks on a CPU; loaded only where it is needed, and asked for where it is missing."""

from types import ModuleType

from atl_face.errors import UserError


def load_openvino() -> ModuleType:
    """The module openvino.

    Raises:
        UserError: it isn't installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise UserError(
            f"The networks need OpenVINO, which can't be loaded ({error}): run `pip install openvino==2026.4.1`.",
            "no_openvino",
        ) from error
    return openvino
