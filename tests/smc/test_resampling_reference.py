"""Our resamplers against those of ``particles``, index by index, fed the same uniform numbers.

The reference is a file, since ``particles`` pins an old NumPy; ``make_particles_reference.py`` says how it was made.
"""

import json
from pathlib import Path

import pytest
import torch

from fmtt.smc.resampling import RESAMPLERS

CASES = json.loads(Path(__file__).with_name("particles_reference.json").read_text())["cases"]


@pytest.mark.parametrize("kind", ["systematic", "stratified", "residual", "multinomial"])
def test_same_indices_as_particles(kind: str) -> None:
    cases = [case for case in CASES if case["kind"] == kind]
    assert len(cases) == 24
    for case in cases:
        weights, u = (
            torch.tensor([case["weights"]], dtype=torch.float64),
            torch.tensor([case["u"]], dtype=torch.float64),
        )
        assert RESAMPLERS[kind](weights, u, case["m"]).tolist() == [case["index"]], (len(case["weights"]), case["m"])
