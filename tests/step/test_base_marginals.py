"""Without a tilt, noise and score together change no marginal: samples have the law of the data for every epsilon."""

import pytest
import torch

from fmtt.flow.noise import Noise
from fmtt.flow.schedules import ConstantEpsilon, PowerEpsilon, PowerGrid, PowerRamp, RegularisedEpsilon, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.population import Population
from fmtt.step.dynamics import Dynamics
from fmtt.step.transport import Euler
from fmtt.tilt.look_ahead import NoLookAhead
from fmtt.tilt.tilt import Tilt
from tests.support import MIXTURE, REWARDS, Truth, last, worst

EPSILONS = (ZeroEpsilon(), ConstantEpsilon(1.0), PowerEpsilon(2.0), RegularisedEpsilon())
DATA = Truth(MIXTURE.law.mean, MIXTURE.law.second_moment, torch.zeros((), dtype=torch.float64))


def sampled(epsilon) -> Population:
    look_ahead = NoLookAhead(MIXTURE)
    mode = modes.base(look_ahead, epsilon)
    tilt = Tilt(look_ahead, REWARDS["linear"], 1.0, PowerRamp(), 1_000_000)
    dynamics = Dynamics(MIXTURE, tilt, epsilon, mode.guidance, mode.weights, Euler(MIXTURE))
    return last(Trajectory(dynamics, mode.selection, PowerGrid().times(200), 32, Noise(0, tuple(range(64))))).population


@pytest.mark.parametrize("epsilon", EPSILONS, ids=str)
def test_law_of_the_data_for_every_epsilon(epsilon) -> None:
    population = sampled(epsilon)
    assert worst(population, DATA) < 4
    assert (population.log_evidence == 0).all()
