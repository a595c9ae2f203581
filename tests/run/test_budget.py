"""Every mode honours a budget, and uses it."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fmtt.flow.meter import Meter
from fmtt.methods.noise_opt import noise_opt
from fmtt.methods.noise_smc import noise_smc
from fmtt.methods.presets import search
from fmtt.methods.role import MAXIMISE, SAMPLE
from fmtt.methods.rounds import Rounds
from fmtt.rewards.judge import Judge
from fmtt.run.budget import Budget, Size
from fmtt.run.build import Job, build
from fmtt.run.configs import CONFIGS
from fmtt.run.errors import ConfigurationError

MODES = sorted(file.stem for file in Path(CONFIGS, "mode").glob("*.yaml"))
SMALL = ("model=gaussian", "reward=linear", "baseline=false", "logger=none", "population.groups=3")


def job(*overrides: str, reward: str | None = None) -> Job:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", overrides=[*SMALL, *overrides])
    if reward:
        OmegaConf.set_struct(config, False)
        config.reward, config.trust = {"_target_": reward}, [reward.partition(".")[0]]
    return build(config)


# a pilot chooses the size of a run in noise space, within the budget: tests/methods/test_annealing_pilot.py
FIXED = {"local_tilt": ["mode.samples=3"], "noise_smc": ["mode.pilot=0"]}


def spent(found: Job) -> float:
    """The cost of a group."""
    found.run.tuned().loop.last()
    return found.budget.cost(found.run.meter) / 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("nfe", [40, 700])
def test_every_mode_spends_what_it_has_and_no_more(mode: str, nfe: int) -> None:
    found = job(f"mode={mode}", f"budget.nfe={nfe}", *FIXED.get(mode, []))
    cost = spent(found)
    assert cost <= nfe
    block = found.run.method.block
    more = job(
        f"mode={mode}", f"population.particles={found.run.loop.particles + block}",
        f"sampler.steps={found.run.loop.steps}", *FIXED.get(mode, []),
    )  # fmt: skip
    assert spent(more) > nfe


@pytest.mark.parametrize("schedule", ["sampler.grid=geodesic", "sampler.beta=geodesic", "sampler/chi=paper"])
def test_pilots_and_laplacians_are_within_the_budget(schedule: str) -> None:
    assert spent(job(schedule, "budget.nfe=4000", "lookahead=flowmap2")) <= 4000


def judge() -> Judge:
    return Judge(lambda x: float(x[0]))


def test_rewards_without_gradient_are_not_charged_for_one() -> None:
    """``auto`` goes another way then, and costs less."""
    found = job("mode=auto", "budget.nfe=300", reward=f"{__name__}.judge")
    assert isinstance(found.run.loop, Rounds)
    assert 200 < spent(found) <= 300
    with pytest.raises(ConfigurationError, match="the reward is not differentiable"):
        job("mode=noise_opt", "budget.nfe=300", reward=f"{__name__}.judge")


def test_backward_cost_is_counted() -> None:
    cheap, dear = (job("mode=search", "budget.nfe=2000", f"budget.backward_cost={c}") for c in (0, 6))
    assert cheap.run.loop.particles > 1.5 * dear.run.loop.particles
    assert max(spent(cheap), spent(dear)) <= 2000


def test_rewards_and_their_gradients_are_counted() -> None:
    sizes = [
        job("mode=search", "lookahead=denoiser", "budget.nfe=2000", *words).run.loop.particles
        for words in ([], ["budget.reward_cost=2"], ["budget.reward_cost=2", "budget.reward_backward_cost=3"])
    ]
    assert sizes == sorted(set(sizes), reverse=True)
    found = job("mode=search", "lookahead=denoiser", "budget.nfe=2000", "budget.reward_cost=2")
    assert 1500 < spent(found) <= 2000
    assert found.run.meter.reward > 0


@pytest.mark.parametrize(("role", "fewest"), [("maximise", 1), ("sample", 4), (None, 4)])
def test_a_sampler_keeps_four_particles_and_a_maximiser_one(role: str | None, fewest: int) -> None:
    loop = job("mode=importance", "lookahead=denoiser", "budget.nfe=150", f"role={role or 'null'}").run.loop
    assert loop.particles == fewest
    assert (
        job("mode=importance", "lookahead=denoiser", "budget.nfe=300", "budget.min_particles=7").run.loop.particles == 7
    )


def test_without_a_limit_nothing_changes() -> None:
    loop = job("population.particles=7", "sampler.steps=5").run.loop
    assert (loop.particles, loop.steps) == (7, 5)


def test_budget_that_affords_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"budget\.nfe=1: the smallest run costs \d"):
        job("mode=noise_opt", "budget.nfe=1")


@pytest.mark.parametrize(
    "word", ["budget.nfe=-3", "budget.nfe=many", "budget.backward_cost=-1", "budget.min_particles=0"]
)
def test_bad_budgets_are_named(word: str) -> None:
    with pytest.raises(ConfigurationError, match=word.split("=")[0].replace(".", r"\.")):
        job(word)


def affine(size: Size) -> float:
    return 3.0 + 2 * size.steps * size.particles


@pytest.mark.parametrize(
    ("nfe", "expected"),
    [(10_000, Size(10, 499)), (203, Size(10, 10)), (83, Size(10, 4)), (82, Size(9, 4)), (21, Size(2, 4)),
     (20, Size(2, 4)), (19, Size(2, 4)), (18, Size(1, 7)), (9, Size(1, 3)), (5, Size(1, 1))],
)  # fmt: skip
def test_particles_first_then_steps(nfe: float, expected: Size) -> None:
    assert Budget(nfe).afford(affine, Size(10, 16), noise_opt(), SAMPLE) == expected


def test_a_method_that_plans_its_length_leaves_less_than_a_step() -> None:
    assert Budget(200).afford(affine, Size(10, 16), noise_smc(), SAMPLE) == Size(10, 9)
    assert Budget(201).afford(affine, Size(10, 16), noise_smc(), SAMPLE) == Size(11, 9)
    assert Budget(201).afford(affine, Size(10, 16), noise_smc(pilot=0), SAMPLE) == Size(10, 9)


def test_the_fewest_particles_of_a_method_are_afforded_or_refused() -> None:
    assert Budget(83).afford(affine, Size(10, 16), search(keep=5), MAXIMISE) == Size(6, 6)
    assert Budget(83, min_particles=6).afford(affine, Size(10, 16), noise_smc(chain=5, pilot=0), SAMPLE) == Size(4, 10)
    with pytest.raises(ValueError, match=r"budget.nfe=14: the smallest run costs 15"):
        Budget(14).afford(affine, Size(10, 16), search(keep=5), MAXIMISE)


def test_a_search_within_a_budget_always_selects() -> None:
    """Within this budget there were 4 particles, of which 4 were kept."""
    found = job("mode=search", "mode.keep=4", "lookahead=flowmap1", "budget.nfe=300")
    assert found.run.loop.particles == 5 and found.run.loop.steps > 1


def test_blocks_stay_whole() -> None:
    assert Budget(250).afford(affine, Size(10, 16), noise_smc(chain=5, pilot=0), SAMPLE) == Size(10, 10)
    assert Budget(70).afford(affine, Size(10, 16), noise_smc(chain=5, pilot=0), SAMPLE) == Size(6, 5)


def test_ledger_is_weighed() -> None:
    meter = Meter()
    meter.counts |= {"forward": 10, "backward": 4, "reward": 100, "decode": 1000}
    assert Budget(backward_cost=2.5).cost(meter) == 20
    prices = Budget(backward_cost=0, reward_cost=0.5, reward_backward_cost=7, decode_cost=0.001, decode_backward_cost=9)
    assert prices.cost(meter) == 10 + 50 + 1
    meter.counts |= {"reward_backward": 2, "decode_backward": 3}
    assert prices.cost(meter) == 10 + 50 + 1 + 14 + 27
