"""A pilot says how many sweeps in noise space are needed; the rest of the cost is spent on particles."""

from __future__ import annotations

import pytest
import torch
from hydra import compose, initialize_config_dir

import fmtt
from fmtt import modes
from fmtt.api import Run
from fmtt.models.analytic import Gaussian
from fmtt.rewards import Linear
from fmtt.run.budget import Budget
from fmtt.run.build import build
from fmtt.run.configs import CONFIGS
from tests.conditional import MEANS, ConditionalGaussian, ConditionalQuadratic
from tests.support import standardised

WIDE = Gaussian([0.0] * 8, [1.0] * 8)
RULE = {"move": "pcnl", "stride": 1.0, "ess_threshold": 0.7, "pilot": 32}
PLAIN = {"move": "pcn", "reference": "prior", "stride": 0.5, "pilot": 0}


def run(nats: float, chain: int = 16, groups: int = 64, particles: int = 96, steps: int = 16) -> Run:
    """A tilt of so many nats in 8 dimensions, ready to start."""
    reward = Linear(((2 * nats / 8) ** 0.5,) * 8)
    mode = modes.noise_smc(chain=chain, **RULE)
    made = fmtt.assemble(WIDE, reward, mode=mode, steps=steps, groups=groups, particles=particles, budgeted=True)
    with torch.no_grad():
        return made.tuned()


@pytest.mark.parametrize("chain", [1, 16])
def test_harder_tilts_get_more_sweeps_and_fewer_particles_at_the_same_cost(chain: int) -> None:
    sizes = []
    for nats in (0.5, 5.0, 20.0):
        made = run(nats, chain, groups=2)
        with torch.no_grad():
            made.loop.last()
        evaluations = made.method.rejuvenation.evaluations
        left = 2 * evaluations(16, 96, 1) - made.meter.counts["reward"]
        more = evaluations(made.loop.steps, made.method.block, 1)
        assert 0 <= left < 2 * more + 32  # not enough for one more block, but for a sweep of the pilot
        sizes.append((made.loop.steps, -made.loop.particles))
    assert sizes == sorted(sizes) and sizes[0][0] < sizes[-1][0]


def test_a_hard_tilt_is_estimated_within_a_third_of_a_nat() -> None:
    """At 20 nats, where the same cost gives errors of 5.9 with fixed sweeps of pCN, and 8 by reweighting."""
    made = run(20.0)
    with torch.no_grad():
        log_z = made.loop.last().population.log_evidence
    assert (log_z - 20).square().mean().sqrt() < 0.33
    plain = fmtt.assemble(
        WIDE, Linear((5**0.5,) * 8), mode=modes.noise_smc(**PLAIN), steps=16, groups=64, particles=96 * 3
    )
    with torch.no_grad():
        assert (plain.loop.last().population.log_evidence - 20).square().mean().sqrt() > 3


def test_estimates_of_a_mild_tilt_are_right() -> None:
    with torch.no_grad():
        made = run(2.0, groups=400)
        population = made.loop.last().population
    assert abs(standardised((population.log_evidence - 2).exp() - 1)) < 4
    weights = population.log_weights.softmax(1)
    means = (weights[..., None] * population.x.double()).sum(1).mean(1)
    assert abs(standardised(means - 0.5**0.5)) < 4


def test_each_prompt_has_its_own_pilot_and_the_hardest_decides() -> None:
    def sweeps(conditions: list[str]) -> int:
        made = fmtt.assemble(
            ConditionalGaussian(), ConditionalQuadratic(), conditions=conditions, mode=modes.noise_smc(**RULE),
            scale=20.0, steps=16, groups=2, particles=16,
        )  # fmt: skip
        with torch.no_grad():
            return made.tuned().loop.steps

    together, alone = sweeps(list(MEANS)), [sweeps([name]) for name in MEANS]
    assert together >= 2 and abs(together - max(alone)) <= 1


def test_a_pilot_has_at_most_half_of_the_cost() -> None:
    """A tilt of 20 nats would take it more sweeps than it can pay here, and so its last one is a leap."""
    made = run(20.0, chain=1, groups=1, particles=32, steps=9)
    assert 0.2 < made.meter.counts["reward"] / made.method.rejuvenation.evaluations(9, 32, 1) <= 0.5
    with torch.no_grad():
        made.loop.last()
    assert made.meter.counts["reward"] <= made.method.rejuvenation.evaluations(9, 32, 1)
    with pytest.raises(ValueError, match=r"mode.pilot=32: costs more than half of this run"):
        run(20.0, chain=1, groups=1, particles=32, steps=2)


def test_a_run_with_a_pilot_keeps_to_its_budget_whatever_the_pilot_finds() -> None:
    words = ["model=gaussian", "reward=quadratic", "mode=noise_smc", "mode.move=pcnl", "mode.pilot=16",
             "population.groups=4", "logger=none", "baseline=false", "budget.nfe=1000"]  # fmt: skip
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        made = build(compose("config", overrides=words)).run
    with torch.no_grad():
        made.tuned().loop.last()
    assert 900 < Budget(nfe=1000).cost(made.meter) / 4 <= 1000


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"mode.pilot=8: has no use if mode.temperatures are given"):
        modes.noise_smc(pilot=8, temperatures=(0.5, 1.0))
    with pytest.raises(ValueError, match=r"mode.pilot=8: must be a multiple of mode.chain=16"):
        modes.noise_smc(pilot=8, chain=16)
