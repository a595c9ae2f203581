"""Run the command line inside the test process, which saves the seconds of importing torch again."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from fmtt.run.cli import main

SMALL = [
    "model=gmm", "reward=linear", "lookahead=flowmap1",
    "population.groups=2", "population.particles=8", "sampler.steps=4",
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def complaint(self) -> str:
        """The lines on stderr that a person sees."""
        return self.err.strip()


@pytest.fixture
def fmtt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Outcome]:
    """``fmtt("reward=quadratic", ...)`` runs ``run.py`` on a small 2-D model, or without ``small`` as it is."""

    def command(*words: str, small: bool = True, folder: str = "run") -> Outcome:
        where = tmp_path / folder
        place = "hydra.sweep.dir" if "-m" in words else "hydra.run.dir"
        loggers = [] if any(word.startswith("logger=") for word in words) else ["logger=none"]
        foreign = any(word.startswith("--config-dir") for word in words) and not any("trust=" in word for word in words)
        flags, settings = [w for w in words if w.startswith("-")], [w for w in words if not w.startswith("-")]
        trust = ["trust=[tests]"] if foreign else []
        arguments = [*flags, *(SMALL if small else []), *loggers, *trust, *settings, f"{place}={where}"]
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        monkeypatch.chdir(tmp_path)
        GlobalHydra.instance().clear()
        capsys.readouterr()
        status = main()
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err, where)

    return command
