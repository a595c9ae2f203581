"""Tests of the extra ``t2i``; without it they are skipped."""

from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="needs the extra t2i: make setup-t2i")


@pytest.fixture(scope="session")
def klein(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny FLUX.3 klein."""
    from tests.t2i.tiny import save_klein

    folder: Path = tmp_path_factory.mktemp("klein")
    return save_klein(folder)
