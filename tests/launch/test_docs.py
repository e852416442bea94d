"""The parameter tables in docs/ are what the nodes declare."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_parameter_tables_are_up_to_date():
    spec = importlib.util.spec_from_file_location("parameters_table", ROOT / "tools" / "parameters_table.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TARGET.read_text() == tool.document(), "run .venv/bin/atl-python tools/parameters_table.py"
