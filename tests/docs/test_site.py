"""The site is built strictly, and its pages load nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BESIDE = Path(sys.prefix) / "docs"  # where `make docs` puts mkdocs
ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="?(?:https?:)?//')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (BESIDE / "mkdocs").is_dir() and importlib.util.find_spec("mkdocs") is None:
        pytest.skip("needs mkdocs: make docs")
    folder = tmp_path_factory.mktemp("site")
    path = os.pathsep.join([str(BESIDE), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_the_site(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    assert [str(page.relative_to(site)) for page in pages if ELSEWHERE.search(page.read_text())] == []
    api = (site / "reference" / "api.html").read_text()
    assert 'id="fmtt.api.sample"' in api and ":func:" not in api
    notebook = (site / "notebooks" / "own_model.html").read_text()
    assert "The reward, and the tilted samples" in notebook and "flow_map" in notebook
    assert not (site / "hooks.py").exists()
