"""The tables in docs/ are what the nodes declare and what was measured."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["parameters_table", "results_page", "readme_figures"])
def test_the_tables_are_up_to_date(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TARGET.read_text() == tool.document(), f"run .venv/bin/atl-python tools/{name}.py"
