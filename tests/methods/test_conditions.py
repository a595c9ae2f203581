"""Runs with prompts: each prompt has its own closed form, and prompts never leak into each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow.schedules import ConstantChi, ConstantEpsilon, PowerEpsilon, RampFrom, ZeroEpsilon
from fmtt.methods.annealed_start import AnnealedStart
from fmtt.methods.pilots import GeodesicGrid, GeodesicRamp
from fmtt.smc.population import Population
from fmtt.step.transport import FlowMapTransport, Glass
from tests.conditional import MEANS, ConditionalGaussian, ConditionalQuadratic, plain, plain_reward
from tests.support import Truth, worst

CONDITIONS = torch.tensor(list(MEANS.values()))
R = 3  # replicates of each prompt
LOOK_AHEADS: dict[str, Callable] = {
    "none": fmtt.NoLookAhead,
    "denoiser": fmtt.Denoiser,
    "diffusion2": partial(fmtt.OdeSteps, steps=2),
    "flowmap1": partial(fmtt.FlowMapJumps, steps=1),
    "flowmap2": partial(fmtt.FlowMapJumps, steps=2),
    "exact": partial(fmtt.Exact, steps=3),
}
# The flow map carries particles, so that only the kicks of the noise have an error of the time step.
STATISTICAL = {
    "steps": 16, "groups": 96, "particles": 64, "epsilon": PowerEpsilon(0.4), "chunk": 4001,
    "transport": FlowMapTransport,
}  # fmt: skip
CHAIN = {"steps": 5, "groups": R, "particles": 6}
MODES = {
    **{word: getattr(fmtt.modes, word)() for word in fmtt.modes.__all__},
    "kernel": fmtt.modes.importance(weights="kernel"),
    "material": fmtt.modes.importance(weights="material"),
}
SPECIAL = {"fmrg": {"epsilon": ZeroEpsilon(), "chi": ConstantChi()}, "svdd": {"particles": 8}}
PARTS = {
    "flow map transport": {"transport": FlowMapTransport},
    "glass": {"transport": Glass, "epsilon": ZeroEpsilon(), "mode": fmtt.modes.importance(weights="kernel")},
    "chi": {"chi": ConstantChi(), "epsilon": ConstantEpsilon(0.5)},
    "annealed start": {"start": AnnealedStart(2), "beta": RampFrom(0.5)},
}


def prompted(**changes: object) -> Run:
    settings = {"conditions": CONDITIONS, **CHAIN} | changes
    return fmtt.assemble(ConditionalGaussian(), ConditionalQuadratic(), **settings)


def alone(prompt: int, **changes: object) -> Run:
    """The same groups on the model of their prompt, without conditions."""
    settings = CHAIN | changes
    numbers = range(prompt * R, (prompt + 1) * R)
    condition = CONDITIONS[prompt]
    return fmtt.assemble(plain(condition), plain_reward(condition), group_numbers=numbers, **settings)


def tensors(run: Run) -> dict[str, Tensor]:
    result = fmtt.finish(run, run.tuned().loop.last())
    return {name: value for name, value in vars(result).items() if isinstance(value, Tensor) and name != "prompt"}


def population_of(run: Run, prompt: int) -> Population:
    population = run.loop.last().population
    return replace(population, **{
        name: getattr(population, name)[run.prompt == prompt] for name in ("x", "log_weights", "log_z", "ancestors")
    })  # fmt: skip


def truth(prompt: int) -> Truth:
    form = ConditionalQuadratic().quadratic_form(2, CONDITIONS[prompt])
    law, log_z = ConditionalGaussian().law(CONDITIONS[prompt]).tilted(*form)
    return Truth(law.mean, law.second_moment, log_z)


WEIGHED = [
    ("flowmap1", "auto"), ("flowmap1", "jarzynski"), ("flowmap2", "jarzynski"), ("exact", "jarzynski"),
    ("denoiser", "material"), ("diffusion2", "material"), ("none", "material"), ("flowmap1", "material"),
    ("none", "kernel"), ("denoiser", "kernel"), ("flowmap1", "kernel"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("look_ahead", "weights"), WEIGHED)
def test_every_prompt_has_its_closed_form(look_ahead: str, weights: str) -> None:
    mode = fmtt.modes.importance(weights=weights)
    run = prompted(look_ahead=LOOK_AHEADS[look_ahead], mode=mode, **STATISTICAL)
    assert [worst(population_of(run, prompt), truth(prompt)) < 4.5 for prompt in range(3)] == [True] * 3


@pytest.mark.parametrize("mode", [fmtt.modes.importance(), fmtt.modes.noise_smc()], ids=["importance", "noise_smc"])
def test_one_prompt_beside_others_has_its_closed_form(mode: object) -> None:
    run = prompted(mode=mode, **STATISTICAL)
    assert worst(population_of(run, 1), truth(1)) < 4.5


@dataclass(frozen=True)
class Permuted(ConditionalGaussian):
    """A mistake: every row is told the condition of the next row but some."""

    def velocity(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return super().velocity(x, t, condition.roll(len(x) // 3, 0))

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return super().flow_map(x, s, t, condition.roll(len(x) // 3, 0))


def test_permuted_conditions_are_caught() -> None:
    settings = STATISTICAL | {"chunk": None, "groups": 24}
    run = fmtt.assemble(Permuted(), ConditionalQuadratic(), conditions=CONDITIONS, **settings)
    assert min(worst(population_of(run, prompt), truth(prompt)) for prompt in range(3)) > 8


@pytest.mark.parametrize("mode", MODES)
def test_prompts_do_not_leak(mode: str) -> None:
    """Every method gives each prompt, to the last bit, what it gives on the model of this prompt alone."""
    settings = {"mode": MODES[mode], **SPECIAL.get(mode, {})}
    together = tensors(prompted(**settings))
    for prompt in range(3):
        for name, value in tensors(alone(prompt, **settings)).items():
            part = together[name][prompt * R : (prompt + 1) * R]
            torch.testing.assert_close(part, value, rtol=0, atol=0, equal_nan=True, msg=f"{name} of prompt {prompt}")


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_loop_do_not_leak(part: str) -> None:
    together = tensors(prompted(**PARTS[part]))
    for prompt in range(3):
        found = tensors(alone(prompt, **PARTS[part]))["samples"]
        torch.testing.assert_close(together["samples"][prompt * R : (prompt + 1) * R], found, rtol=0, atol=0)


@pytest.mark.parametrize("schedule", [{"grid": GeodesicGrid(8)}, {"beta": GeodesicRamp(8)}], ids=["grid", "beta"])
def test_pilots_run_for_every_prompt(schedule: dict) -> None:
    run = prompted(**schedule)
    tuned = run.tuned()
    assert run.meter.forward % 3 == 0 and run.meter.forward > 0
    part = prompted(**schedule, group_numbers=[4]).tuned()
    assert tuned.loop.times == part.loop.times


@pytest.mark.parametrize("chunk", [1, 4, 7, 100])
def test_chunks_that_cut_through_prompts_change_nothing(chunk: int) -> None:
    for mode in (fmtt.modes.importance(), fmtt.modes.diamond(), fmtt.modes.auto()):
        whole, cut = tensors(prompted(mode=mode)), tensors(prompted(mode=mode, chunk=chunk))
        for name, value in whole.items():
            torch.testing.assert_close(cut[name], value, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("mode", ["importance", "search", "noise_smc", "svdd", "das", "auto"])
def test_two_parts_of_the_groups_are_the_whole(mode: str) -> None:
    """A process that holds some of the groups computes what one process computes for them, to the last bit."""
    settings = {"mode": MODES[mode], **SPECIAL.get(mode, {})}
    whole = prompted(**settings)
    parts = [prompted(**settings, group_numbers=numbers) for numbers in (range(4), range(4, 9))]
    results = [fmtt.finish(part, part.loop.last()) for part in parts]
    joined, expected = fmtt.Result.joined(results), fmtt.finish(whole, whole.loop.last())
    for name, value in vars(expected).items():
        if isinstance(value, Tensor):
            assert torch.equal(getattr(joined, name), value), name
    if mode not in ("auto", "noise_smc"):  # both ask each part once whether there is a gradient; auto has pilots
        assert joined.meter.counts == expected.meter.counts
    assert joined.log_z_and_error == expected.log_z_and_error


def test_texts_are_encoded_once_and_rewards_are_told() -> None:
    encoded = []

    class Counting(ConditionalGaussian):
        def encode_prompts(self, texts: Sequence[str]) -> Tensor:
            encoded.append(tuple(texts))
            return super().encode_prompts(texts)

    result = fmtt.sample(Counting(), ConditionalQuadratic(), list(MEANS), groups=2, particles=8, steps=4)
    assert encoded == [tuple(MEANS)]
    by_tensor = fmtt.sample(ConditionalGaussian(), ConditionalQuadratic(), CONDITIONS, groups=2, particles=8, steps=4)
    assert torch.equal(result.samples, by_tensor.samples)
    assert result.prompt.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(result.log_z_and_error) == 3


def test_a_reward_without_the_parameter_keeps_its_short_signature() -> None:
    result = fmtt.sample(ConditionalGaussian(), lambda x: x[:, 0], CONDITIONS, groups=2, particles=8, steps=4)
    assert result.samples.shape == (6, 8, 2)


def test_a_list_of_numbers_and_a_mapping_are_conditions() -> None:
    def velocity(x: Tensor, t: Tensor, condition: object) -> Tensor:
        value = condition["a"] if isinstance(condition, dict) else condition
        assert value.shape[:1] == x.shape[:1]
        return value.reshape(-1, 1) - x

    def encoding(texts: Sequence[str]) -> dict[str, Tensor]:
        return {"a": torch.arange(len(texts)).float(), "b": torch.zeros(len(texts), 3)}

    flow = fmtt.Flow((1,), velocity, encode_prompts=encoding)
    small = {"look_ahead": fmtt.Denoiser, "groups": 2, "particles": 4, "steps": 3}
    by_number = fmtt.sample(flow, lambda x: x[:, 0], [0.0, 1.0], **small)
    by_text = fmtt.sample(flow, lambda x: x[:, 0], ["a", "b"], **small)
    assert torch.equal(by_number.samples, by_text.samples)


@pytest.mark.parametrize(
    ("model", "conditions", "words"),
    [
        (plain(CONDITIONS[0]), CONDITIONS, "the model takes none; its velocity needs a parameter `condition`"),
        (ConditionalGaussian(), None, "the model needs one entry for each prompt"),
        (plain(CONDITIONS[0]), None, "the reward needs one entry for each prompt"),
        (ConditionalGaussian(), [], "needs one entry for each prompt"),
        (ConditionalGaussian(), ["down"], "prompt=down: must be one of left, right, up"),
    ],
)
def test_bad_conditions_are_refused(model: object, conditions: object, words: str) -> None:
    reward = ConditionalQuadratic() if "reward" in words else lambda x: x[:, 0]
    with pytest.raises(ValueError, match=words):
        fmtt.sample(model, reward, conditions, steps=2)
