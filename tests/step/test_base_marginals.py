"""Without a tilt, noise and score together change no marginal: samples have the law of the data for every epsilon."""

import pytest
import torch

from fmtt.flow.schedules import ConstantEpsilon, PowerEpsilon, RegularisedEpsilon, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.smc.population import Population
from tests.support import MIXTURE, Setup, Truth, last, worst

EPSILONS = (ZeroEpsilon(), ConstantEpsilon(1.0), PowerEpsilon(2.0), RegularisedEpsilon())
DATA = Truth(MIXTURE.law.mean, MIXTURE.law.second_moment, torch.zeros((), dtype=torch.float64))


def sampled(epsilon) -> Population:
    setup = Setup(model="mixture", reward="linear", look_ahead="none", epsilon=epsilon, steps=200)
    return last(modes.base().loop(setup.but(groups=64, particles=32).problem)).population


@pytest.mark.parametrize("epsilon", EPSILONS, ids=str)
def test_law_of_the_data_for_every_epsilon(epsilon) -> None:
    population = sampled(epsilon)
    assert worst(population, DATA) < 4
    assert (population.log_evidence == 0).all()
