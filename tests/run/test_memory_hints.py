"""What is said of memory that does not suffice names only what can be set, and is not set yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

import fmtt
from fmtt.api import Run, assemble
from fmtt.run import memory
from fmtt.run.memory_hints import NOTHING, Settings, hints, hints_for_weights, settings_of
from tests.command import Outcome

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
FULL = Settings(CUDA, "32-true", sized=True, offload=False, checkpointing=False, tiny_decoder=False)
SAID = {  # what is said of each setting, and a setting with which it is not said any more
    "smaller model.height and model.width": {"sized": False},
    "model.checkpointing=true": {"checkpointing": True},
    "model.tiny_decoder": {"tiny_decoder": True},
    "precision=bf16-true": {"precision": "bf16-true"},
    "offload=true": {"offload": True},
}


def run_of(mode: object = fmtt.modes.search, unfit: frozenset[str] = frozenset()) -> Run:
    flow = fmtt.Flow((2,), lambda x, t: -x, unfit_precisions=unfit)
    return assemble(flow, lambda x: x.sum(1), look_ahead=fmtt.Denoiser, groups=1, particles=2, steps=2, mode=mode)


def test_everything_that_is_not_set_is_named() -> None:
    line = hints(FULL, run_of(), 4)
    assert line.startswith("; smaller") and line.endswith(" or offload=true would need less")
    assert all(name in line for name in SAID) and "a mode without gradients" in line
    assert "a look-ahead with fewer steps than 4, " in line
    assert all("look-ahead" not in hints(FULL, run_of(), steps) for steps in (0, 1))


@pytest.mark.parametrize("name", SAID)
def test_what_is_set_already_is_not_named(name: str) -> None:
    before, after = (hints(settings, run_of(), 4) for settings in (FULL, replace(FULL, **SAID[name])))
    assert name in before and name not in after
    assert all(other in after for other in SAID if other != name)


@pytest.mark.parametrize("name", ["offload", "checkpointing", "tiny_decoder"])
def test_what_a_model_does_not_have_is_not_named(name: str) -> None:
    assert name in hints(FULL, run_of(), 4) and name not in hints(replace(FULL, **{name: None}), run_of(), 4)


def test_without_gradients_nothing_is_said_of_them() -> None:
    line = hints(FULL, run_of(fmtt.modes.best_of_n), 1)
    assert "gradients" not in line and "checkpointing" not in line and "model.tiny_decoder" in line


def test_a_precision_that_a_model_cannot_have_is_not_named() -> None:
    assert "precision" not in hints(FULL, run_of(unfit=frozenset({"bf16-true"})), 4)


def test_on_a_cpu_weights_have_no_other_place() -> None:
    assert "offload" not in hints(replace(FULL, device=CPU), run_of(), 4)
    assert hints_for_weights(replace(FULL, device=CPU)) == "; precision=bf16-true would need less"


def test_of_weights_only_what_they_depend_on_is_said() -> None:
    assert hints_for_weights(FULL) == "; precision=bf16-true or offload=true would need less"
    assert hints_for_weights(replace(FULL, precision="16-true", offload=True)) == f"; {NOTHING}"


def test_if_all_is_set_that_is_said() -> None:
    spare = Settings(CPU, "bf16-true", sized=False, checkpointing=True, tiny_decoder=True)
    assert hints(spare, run_of(fmtt.modes.best_of_n), 1) == f"; {NOTHING}"


class Waits:
    """A model whose weights may wait on the CPU."""

    def offloaded(self, device: torch.device, dtype: torch.dtype) -> Waits:
        return self


def configuration(**model: object) -> DictConfig:
    return OmegaConf.create({"model": model, "precision": "16-true", "offload": True})


def test_settings_are_those_of_the_configuration() -> None:
    everything = configuration(height=8, width=8, checkpointing=True, tiny_decoder="a/b")
    assert settings_of(everything, Waits(), CUDA) == Settings(CUDA, "16-true", True, True, True, True)
    nothing = configuration(checkpointing=False, tiny_decoder=None, height=8)
    assert settings_of(nothing, object(), CPU) == Settings(CPU, "16-true", False, None, False, False)
    assert settings_of(configuration(), Waits(), CPU) == Settings(CPU, "16-true", False, True, None, None)
    assert len(fields(Settings)) == 6, "a new setting is tested here, too"


def test_the_command_line_says_it(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("model=mnist", "reward=symmetry", "sampler.steps=2", "report=false",
             "population.groups=1", "population.particles=2")  # fmt: skip
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**17)
    many = fmtt(*words, "lookahead=flowmap2", small=False)
    assert many.status == 2
    few = "a look-ahead with fewer steps than 2, a mode without gradients or precision=bf16-true would need less"
    assert many.complaint.endswith(f"; {few}"), many.complaint
    one = fmtt(*words, "lookahead=flowmap1", "precision=bf16-true", small=False)
    assert one.complaint.endswith(" are free beside; a mode without gradients would need less"), one.complaint
