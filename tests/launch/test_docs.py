"""The tables in docs/ are what the nodes declare and what was measured."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["parameters_table", "results_page", "readme_figures"])
def test_the_tables_are_up_to_date(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TARGET.read_text() == tool.document(), f"run .venv/bin/atl-python tools/{name}.py"


def test_links_between_the_documents_lead_somewhere():
    pages = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not pages:
        pytest.skip("no git checkout here")
    for page in (ROOT / name for name in pages):
        links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        assert not (broken := [link for link in links if not (page.parent / link).exists()]), f"{page}: {broken}"
