"""``compile=true``: the networks of the model are really compiled, and the results agree."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from tests.command import Outcome

PLAIN = ("population.groups=2", "population.particles=8", "sampler.steps=4", "baseline=false", "report=false")
RING = ("model=ring_distilled", "reward=linear", "lookahead=flowmap1", *PLAIN)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("words", [("mode=importance",), ("sampler/chi=paper",), ("mode=search", "device=cpu")])
def test_results_agree_with_those_of_plain_networks(fmtt: Callable[..., Outcome], words: tuple[str, ...]) -> None:
    """Torch gives up without a word on a network that it met while memory was measured; the counter tells.

    A steep reward would make rounding grow: in float32 and float64 such samples are 0.2 apart.
    """
    plain = fmtt(*RING, *words, small=False, folder="plain")
    torch._dynamo.reset()
    counters.clear()
    compiled = fmtt(*RING, *words, "compile=true", small=False, folder="compiled")
    assert (compiled.status, compiled.complaint) == (plain.status, plain.complaint) == (0, plain.complaint)
    assert counters["stats"]["unique_graphs"] > 0
    expected, found = (load_file(done.folder / "samples.safetensors") for done in (plain, compiled))
    for name in ("samples", "rewards", "log_weights"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)


def test_a_model_without_networks_is_refused(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("compile=true")
    assert (done.status, done.complaint) == (2, "fmtt: compile=true: this model has no network")


def test_it_cannot_be_combined_with_weights_on_the_cpu(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("compile=true", "offload=true")
    assert (done.status, done.complaint) == (2, "fmtt: compile=true: cannot be combined with offload=true")


def test_it_is_yes_or_no(fmtt: Callable[..., Outcome]) -> None:
    assert fmtt("compile=often").complaint.startswith("fmtt: compile=often: must be true or false")
