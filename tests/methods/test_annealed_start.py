"""Runs whose noise is annealed to the tilt in force at t = 0: their law, what is handed over, and mistakes in that."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from fmtt.flow.schedules import PowerEpsilon, RampFrom
from fmtt.methods import presets as modes
from fmtt.methods import trajectory
from fmtt.methods.annealed_start import AnnealedStart
from fmtt.methods.loop import Info, Loop, State
from fmtt.methods.trajectory import Trajectory
from fmtt.step.transport import FlowMapTransport
from fmtt.tilt.tilt import TiltValue
from tests.support import Setup, ended, last, worst

SETUP = Setup(
    ramp=RampFrom(0.5), transport=FlowMapTransport, epsilon=PowerEpsilon(0.3), steps=20, ess_threshold=0.5, scale=2.0,
    seed=60,
)  # fmt: skip
# Moves without gradients leave none behind, so that the tilt at the start is looked at anew; the others hand it over.
EACH = pytest.mark.parametrize(
    ("weights", "move"), [("jarzynski", "pcn"), ("kernel", "pcn"), ("kernel", "pcnl"), ("material", "pcnl")]
)


def annealed(weights: str, move: str, **changes: object) -> Trajectory:
    setup = SETUP.but(weights=weights, **changes)
    problem = AnnealedStart(sweeps=4, move=move, moves=2, ess_threshold=0.9)(setup.problem)
    return modes.importance(weights, ess_threshold=setup.ess_threshold).loop(problem)


@EACH
def test_annealed_runs_sample_the_tilted_law(weights: str, move: str) -> None:
    assert worst(last(annealed(weights, move)).population, SETUP.truth()) < 4


@EACH
def test_everything_is_handed_over(weights: str, move: str) -> None:
    loop = annealed(weights, move, groups=4, particles=16)
    assert loop.opening is not None
    (end, before), (state, info) = ended(loop.opening), loop.start()
    assert (state.step, state.t) == (0, 0)
    assert (state.temperature == 1).all()  # all that the ramp lets in
    assert (end.temperature == 0.5).all()
    assert end.population.log_z.all() and end.population.log_weights.any()  # there is something to hand over
    for name in ("x", "log_weights", "log_z", "ancestors"):
        assert torch.equal(getattr(state.population, name), getattr(end.population, name))
    assert torch.equal(info.ess, end.population.ess)
    tilt = loop.dynamics.tilt.evaluate(state.population.x, 0.0, gradient=True)
    torch.testing.assert_close(state.population.tilt.value, tilt.value)
    torch.testing.assert_close(state.population.tilt.gradient, tilt.gradient)
    assert torch.equal(state.population.path.value, state.population.tilt.value)
    assert info.before is not None
    _, after = ended(replace(loop, times=(0.0, 1.0)))
    for name in ("lowest_ess", "discrepancy", "length", "selections"):
        assert torch.equal(getattr(info.before, name), getattr(before, name))
    assert (after.discrepancy > before.discrepancy).all()
    assert (after.lowest_ess <= before.lowest_ess).all()
    assert torch.equal(after.selections, before.selections)


@pytest.mark.parametrize("name", ["step_discrepancy", "transport_gap", "overshoot", "ignored_gap"])
def test_what_an_opening_does_not_measure_begins_afresh(name: str) -> None:
    """Else it would be unknown to the end of the run."""
    _, info = annealed("jarzynski", "pcn", groups=4, particles=16).start()
    assert info.before is not None
    assert torch.equal(getattr(info.before, name), torch.zeros(4).double())


def test_a_share_of_the_tilt_in_force() -> None:
    """Value and gradient get smaller; the reward and the place where the look-ahead landed do not."""
    reward, share = torch.arange(6.0).double().reshape(2, 3), torch.tensor([0.25, 0.5]).double()
    gradient = torch.arange(12.0).reshape(2, 3, 2)
    whole = TiltValue(reward, 3 * reward, gradient, None, 7 * gradient)
    part = trajectory.in_force(whole, share)
    assert torch.equal(part.value, 3 * reward * share[:, None])
    assert part.gradient is not None
    assert torch.equal(part.gradient, gradient * share.float()[:, None, None])
    assert part.gradient.dtype == torch.float32
    assert part.reward is whole.reward and part.sample is whole.sample and part.velocity is None
    assert trajectory.in_force(whole._replace(gradient=None), share).gradient is None


# --- mutants -----------------------------------------------------------------------------------------------------


class Unweighted(Trajectory):
    """Forgets the weights with which the opening ends."""

    def opened(self, opening: Loop) -> tuple[State, Info]:
        state, info = super().opened(opening)
        population = replace(state.population, log_weights=torch.zeros_like(state.population.log_weights))
        return replace(state, population=population), info


class WithoutEvidence(Trajectory):
    """Forgets the evidence that the opening has used up."""

    def opened(self, opening: Loop) -> tuple[State, Info]:
        state, info = super().opened(opening)
        population = replace(state.population, log_z=torch.zeros_like(state.population.log_z))
        return replace(state, population=population), info


@pytest.mark.parametrize("mutant", [Unweighted, WithoutEvidence])
def test_mutant_is_detected(mutant: type[Trajectory]) -> None:
    loop = annealed("jarzynski", "pcn")
    wrong = mutant(**{field.name: getattr(loop, field.name) for field in fields(loop)})
    assert worst(last(wrong).population, SETUP.truth()) > 6


def test_tilt_that_counts_whole_from_the_start_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectory, "in_force", lambda tilt, share: tilt)
    assert worst(last(annealed("kernel", "pcnl")).population, SETUP.truth()) > 6
