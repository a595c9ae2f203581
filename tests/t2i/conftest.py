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


@pytest.fixture
def shallow_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts of FLUX.2 are the second layer of a tiny encoder and 100 tokens, not deep layers and 512 tokens."""
    import diffusers

    for kind in (diffusers.Flux2Pipeline, diffusers.Flux2KleinPipeline):
        monkeypatch.setattr(kind.encode_prompt, "__defaults__", (None, 1, None, 100, (2,)))
