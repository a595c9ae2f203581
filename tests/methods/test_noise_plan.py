"""What is made of the length that a pilot measures: sweeps, particles and chains with the least variance of log Z."""

from __future__ import annotations

import math

import pytest
import torch

import fmtt
from fmtt import modes
from fmtt.methods.noise_plan import LONGEST_CHAIN, NEARLY, Means, Plan
from fmtt.models.analytic import Gaussian
from fmtt.rewards import Linear, Quadratic
from tests.support import standardised

FREE = Means(evaluations=1600, sparing=3.0, leaps=1, moves=1, chain=None)


def evaluations(plan: Plan) -> int:
    """Those that a plan costs, counted out."""
    starts = plan.particles // plan.chain if plan.chain > 1 else 0
    moves = plan.sweeps if plan.chain == 1 else plan.sweeps - 1
    return plan.particles + moves * (plan.particles - starts)


@pytest.mark.parametrize("nats", [2.0, 5.0, 20.0, 60.0])
def test_a_plan_spends_what_there_is_and_has_nearly_the_least_variance(nats: float) -> None:
    length = math.sqrt(2 * nats)
    plan = FREE.best(length)
    assert plan.sweeps > 1
    assert evaluations(plan) <= 1600 < evaluations(plan._replace(particles=plan.particles + 2 * plan.chain))
    others = [FREE.plan(k) for k in range(1, 120)]
    assert plan.variance(length) <= NEARLY * min(other.variance(length) for other in others if other.particles)
    assert plan.particles % plan.chain == 0 and plan.particles >= 8 * plan.chain and plan.chain <= LONGEST_CHAIN


def test_weak_tilts_are_left_to_weights_without_a_gradient() -> None:
    plan = FREE.best(1.0)
    assert plan.sweeps == 1
    assert plan.particles == 1600 * 3
    assert FREE._replace(sparing=1.0).best(2.0).sweeps >= 1


@pytest.mark.parametrize(("bought", "particles"), [(2, 2), (6, 10), (15, 28)])
def test_one_sweep_moves_nothing_however_few_particles_there_are(bought: int, particles: int) -> None:
    """Six evaluations with the gradient pay for eleven without, of which chains of two take ten."""
    assert FREE._replace(evaluations=bought, sparing=1.98).plan(1) == Plan(1, particles, 2)


def test_harder_tilts_get_more_sweeps() -> None:
    sweeps = [FREE.best(length).sweeps for length in (0.5, 1.5, 3.0, 6.0, 12.0)]
    assert sweeps == sorted(sweeps) and sweeps[0] == 1 and sweeps[-1] > 10


def test_given_settings_are_kept() -> None:
    plan = FREE._replace(chain=4).enough(6.0, 0.5)
    assert plan.chain == 4
    assert plan.sweeps == math.ceil(6.0 / math.sqrt(math.log(2)))


def ended(nats: float, groups: int, reward: str, particles: int = 98) -> tuple[torch.Tensor, fmtt.api.Run, float]:
    """Errors of log Z of a run without settings that costs each group what 17 evaluations of 98 particles cost."""
    if reward == "linear":
        law, tilt, scale, truth = Gaussian([0.0] * 8, [1.0] * 8), Linear((1.0,) + (0.0,) * 7), math.sqrt(2 * nats), nats
    else:
        law, tilt, scale = Gaussian([0.0] * 32, [1.0] * 32), Quadratic((3.0,) + (0.0,) * 31, (4.0,) * 32), 1.0
        truth = float(law.law.tilted(*tilt.quadratic_form(32))[1])
    run = fmtt.assemble(
        law, tilt, mode=modes.noise_smc(), scale=scale, steps=16, groups=groups, particles=particles, budgeted=True
    )
    with torch.no_grad():
        run = run.tuned()
        log_z = run.loop.last().population.log_evidence
    return log_z - truth, run, truth


@pytest.mark.parametrize(
    ("reward", "nats", "limit"), [("linear", 5.0, 0.2), ("linear", 20.0, 0.35), ("quadratic", 16.0, 0.5)]
)
def test_hard_tilts_without_a_dial(reward: str, nats: float, limit: float) -> None:
    """At a cost of 5,000 perfect mixing would have about .1 at 20 nats; fixed sweeps of pCN have 5.9."""
    errors, run, _ = ended(nats, 48, reward)
    assert errors.square().mean().sqrt() < limit
    counts = run.meter.counts
    assert counts["forward"] + 2 * counts["backward"] <= 48 * 5000 * 1.001


def test_weak_tilts_without_a_dial_take_no_gradient_but_for_the_pilot() -> None:
    errors, run, _ = ended(0.5, 16, "linear")
    assert run.meter.counts["backward"] < 0.02 * run.meter.counts["forward"]
    assert errors.square().mean().sqrt() < 0.03


def test_a_budget_too_small_for_a_pilot_buys_weighted_base_samples() -> None:
    _, run, _ = ended(0.5, 1, "linear", particles=3)
    assert (run.loop.sweeps, run.loop.particles) == (1, 152)  # 17 evaluations of 3 with the gradient cost 153
    assert run.meter.counts["backward"] == 0


def test_without_a_budget_there_are_as_many_particles_as_were_asked_for() -> None:
    for nats in (0.5, 5.0):
        reward = Linear((math.sqrt(2 * nats),) + (0.0,) * 7)
        run = fmtt.assemble(Gaussian([0.0] * 8, [1.0] * 8), reward, mode=modes.noise_smc(), steps=16, particles=64)
        with torch.no_grad():
            run = run.tuned()
            population = run.loop.last().population
        assert population.x.shape[1] == 64
        assert run.loop.sweeps > 2 and run.meter.counts["reward"] <= 4 * 64 * 17 + 1


def test_estimates_without_a_dial_are_right() -> None:
    errors, run, _ = ended(2.0, 300, "linear", particles=40)
    assert run.loop.sweeps > 1
    assert abs(standardised(errors.exp() - 1)) < 4
