"""Random command lines run, or end with one line and a status: ``make fuzz`` tries 2,000, ``make test`` a few."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, settings

from tests.reliability.command_lines import SMALL, command_lines, said

REMARKS = ("fmtt: warning: ", "fmtt: note: ")
TRIES = int(os.environ.get("FMTT_TRIES", "40"))


@settings(
    max_examples=TRIES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip
@given(command_lines)
@example(["sampler=null"])
@example(["resume=true"])
@example(["population.particles=99999999999999999999"])
def test_a_command_line_runs_or_says_on_one_line_why_not(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        status, lines = said([*SMALL, *words], Path(name))
        known = {path.name for path in (Path(name) / "run").glob("*")}
    complaints = [line for line in lines if line.startswith("fmtt: ") and not line.startswith(REMARKS)]
    others = [line for line in lines if not line.startswith("fmtt: ")]
    assert others == [], lines
    if status == 0:
        assert complaints == [] and {"metrics.json", "samples.safetensors", "manifest.json"} <= known
    else:
        assert status in (1, 2) and len(complaints) == 1, lines
        assert "manifest.json" not in known
