"""What the tests of the renderer share."""
import pytest

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.runtime import OpenVinoRuntime


@pytest.fixture(scope="package")
def runtime():
    return OpenVinoRuntime(threads=2)


@pytest.fixture(scope="package")
def portrait():
    """The shipped face at 512 px."""
    return load_portrait(default_portrait_path(), 512)
