"""Every model in every precision; and batches of mixed times and prompts, and derivatives through look-aheads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow.precision import PRECISIONS
from fmtt.flow.protocols import as_flow
from tests.t2i.derivatives import points, rate_error
from tests.t2i.test_all_paths import AT, LOOK_AHEADS, MODELS, TEXT, in_double, look_ahead_of

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = [TEXT, 'a clock with the words "half past ten" above a door', "a dog"]  # windows of FLUX.3 differ in length
# those whose own files do not test it
BY_NAME = pytest.mark.parametrize(
    "name", ["flux3_klein on klein-base", "flux", "flux_ahead", "flux_schnell", "FluxPipeline"]
)
BY_LOOK_AHEAD = pytest.mark.parametrize("look_ahead", [name for name in LOOK_AHEADS if name != "none"])


def rows(model: Any, *which: int) -> dict[str, Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


def apart(found: Tensor, right: Tensor) -> float:
    """How far two tensors are apart, relatively."""
    return ((found - right).norm() / right.norm()).item()


@BY_NAME
def test_several_particles_at_different_times_are_each_as_alone(name: str) -> None:
    model = in_double(MODELS[name]())
    flow, s = as_flow(model), torch.tensor([0.1, 0.4, 0.7]).double()
    t = torch.ones(3).double() if flow.data_only else torch.tensor([0.5, 0.6, 1.0]).double()
    noise = torch.randn(3, *model.shape, generator=torch.Generator().manual_seed(2)).double()
    calls: list[tuple[Callable[..., Tensor] | None, tuple[Tensor, ...]]] = [
        (flow.velocity, (s,)), (flow.flow_map, (s, t)),
    ]  # fmt: skip
    for call, times in [(call, times) for call, times in calls if call is not None]:
        together = call(noise, *times, condition=rows(model, 0, 1, 2))
        for k in range(3):
            alone = call(noise[[k]], *(time[[k]] for time in times), condition=rows(model, k))
            assert apart(together[[k]], alone) < 1e-5, (k, apart(together[[k]], alone))
        others = [call(noise[:1], *(time[k : k + 1] for time in times), condition=rows(model, text))
                  for k, text in ((1, 0), (0, 2))]  # fmt: skip
        assert min(apart(other, together[:1]) for other in others) > 1e-4, "time and prompt change it"


def look_of(name: str, look_ahead: str) -> tuple[Any, Callable[[Tensor, Tensor], Tensor]]:
    """The model in float64, and where it lands."""
    model = in_double(MODELS[name]())
    look = look_ahead_of(look_ahead, model)
    if look is None:
        pytest.skip(f"{name} has no such look-ahead")
    return model, lambda x, t: look(x, t).sample


@BY_LOOK_AHEAD
@BY_NAME
def test_a_step_along_the_gradient_raises_the_reward_as_the_gradient_says(name: str, look_ahead: str) -> None:
    model, look = look_of(name, look_ahead)
    place, t = points(model)[0].requires_grad_(), torch.tensor([AT]).double()

    def reward(x: Tensor) -> Tensor:
        return model.decode(look(x, t)).square().mean()

    before = reward(place)
    (slope,) = torch.autograd.grad(before, place)
    gained = reward(place + 1e-3 * slope / slope.norm()) - before
    assert 0 < gained.item() == pytest.approx(1e-3 * slope.norm().item(), rel=0.05)


@BY_LOOK_AHEAD
@BY_NAME
def test_the_material_derivative_agrees_with_differences_in_time(name: str, look_ahead: str) -> None:
    model, look = look_of(name, look_ahead)
    assert rate_error(model, look, rows(model, 0), h=3e-5) < 5e-3


def rewards_of(name: str, word: str) -> float:
    """Of a short search in a precision."""
    model = MODELS[name]().to(torch.device("cpu"), PRECISIONS[word].network)
    look_ahead = fmtt.Denoiser if as_flow(model).flow_map is None else lambda flow: fmtt.FlowMapJumps(flow, 1)
    mode = fmtt.modes.noise_opt if as_flow(model).velocity is None else fmtt.modes.search
    result = fmtt.sample(
        model, lambda pictures: -pictures.square().mean((1, 2, 3)), conditions=[TEXT], look_ahead=look_ahead,
        mode=mode, groups=1, particles=2, steps=3, precision=word,
    )  # fmt: skip
    assert result.meter.backward > 0 and result.samples.dtype == PRECISIONS[word].samples
    return result.rewards.tolist()[0]


@pytest.mark.parametrize("name", MODELS)
def test_the_engine_tilts_it_in_every_precision(name: str) -> None:
    exact = rewards_of(name, "64-true")
    for word in PRECISIONS.keys() - MODELS[name]().unfit_precisions:
        assert rewards_of(name, word) == pytest.approx(exact, rel=0.02), word


@pytest.mark.parametrize("name", [name for name, make in MODELS.items() if make().unfit_precisions])
def test_a_precision_without_numbers_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for word in MODELS[name]().unfit_precisions:
        with pytest.raises(ValueError, match=f"precision={word}: the network of this model divides by zeros"):
            rewards_of(name, word)
        monkeypatch.setattr(type(MODELS[name]()), "unfit_precisions", frozenset())
        with pytest.raises(FloatingPointError):
            rewards_of(name, word)
