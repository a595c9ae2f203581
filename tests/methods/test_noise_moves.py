"""Each move leaves the tilted noise invariant, and accepts by the ratio that makes it do so. Many moves from exact
draws must leave the moments of a closed form where they were; and the ratio of one move is compared with the densities
of its proposal written out, or, for Hamiltonian moves, with a leapfrog that keeps volume and comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.methods.noise_moves import MOVES, Law, MetropolisMove, Point, SplitHamiltonian, accept
from tests.methods.noise_space import EACH_MOVE, FINE, SHIFT, SLANTED, chained, double, evaluator, mixture_chained
from tests.support import REWARDS

# --- invariance ------------------------------------------------------------------------------------------------


@EACH_MOVE
def test_move_leaves_slanted_gaussian_noise_invariant(move: str) -> None:
    found = chained(MOVES[move], SLANTED)
    assert found.score < 4
    assert found.acceptance < 0.9  # so that the ratio matters


@EACH_MOVE
def test_move_from_a_reference_of_any_width_leaves_the_law_invariant(move: str) -> None:
    """The law of the noise is corrected for, however far the reference is from the law that is left invariant."""
    assert chained(MOVES[move], SLANTED, scale=(0.4, 0.8)).score < 4
    assert mixture_chained(MOVES[move], 0.7, scale=(0.7, 1.3)).score < 4


@EACH_MOVE
def test_move_leaves_shifted_noise_invariant(move: str) -> None:
    assert chained(MOVES[move], SHIFT).score < 4


@EACH_MOVE
def test_move_leaves_tilted_noise_of_a_mixture_invariant(move: str) -> None:
    found = mixture_chained(MOVES[move], 0.9)
    assert found.score < 4
    assert found.acceptance < 0.8


# --- ratios ----------------------------------------------------------------------------------------------------

PLACES = noise.normal((2, 40, 2), 8, "places").double()
FRESH = noise.normal((2, 40, 2), 8, "fresh").double()
HEAT = double([1.0, 0.35])


def potential(z: Tensor) -> tuple[Tensor, Tensor]:
    """``-Phi`` and its gradient at the temperatures HEAT."""
    value, gradient = SLANTED.value_and_gradient(z)
    return HEAT[:, None] * 2.0 * value, HEAT[:, None, None] * 2.0 * gradient


def log_normal(x: Tensor, mean: Tensor, std: float | Tensor) -> Tensor:
    return torch.distributions.Normal(mean, std).log_prob(x).sum(-1)


def log_ratio_by_densities(v: Tensor, mean: Callable[[Tensor], Tensor], std: float | Tensor) -> Tensor:
    """``log pi(v) q(v, u) / (pi(u) q(u, v))`` with u the PLACES and ``q(a, .) = N(mean(a), std^2)``."""
    u = PLACES
    there = log_normal(v, torch.zeros(2).double(), 1.0) + potential(v)[0] + log_normal(u, mean(v), std)
    return there - log_normal(u, torch.zeros(2).double(), 1.0) - potential(u)[0] - log_normal(v, mean(u), std)


def propose(move: MetropolisMove, z: Tensor, stride: float, normal: Tensor, law: Law) -> tuple[Point, Tensor]:
    evaluate = evaluator("gaussian", SLANTED, 2.0)
    return move.propose(Point(z, evaluate(z)), law, torch.full((2,), stride, dtype=torch.float64), normal, evaluate)


SCALE = double([[0.5, 1.4], [0.9, 0.3]])  # of a reference, for each group
FROM = [pytest.param(Law(HEAT), id="noise"), pytest.param(Law(HEAT, SCALE), id="reference")]


def width(law: Law) -> Tensor:
    return torch.ones(2, 1, 2).double() if law.scale is None else law.scale[:, None]


@pytest.mark.parametrize("law", FROM)
@pytest.mark.parametrize("stride", [0.1, 0.6, 1.0])
def test_pcn_ratio_is_that_of_the_densities(stride: float, law: Law) -> None:
    there, log_ratio = propose(MOVES["pcn"], PLACES, stride, FRESH, law)

    def mean(z: Tensor) -> Tensor:
        return math.sqrt(1 - stride**2) * z

    torch.testing.assert_close(there.z, mean(PLACES) + stride * width(law) * FRESH)
    torch.testing.assert_close(log_ratio, log_ratio_by_densities(there.z, mean, stride * width(law)))
    assert log_ratio.std() > 0.01


@pytest.mark.parametrize("law", FROM)
@pytest.mark.parametrize("delta", [0.02, 0.4, 1.3, 2.0])
def test_pcnl_ratio_is_that_of_the_densities(delta: float, law: Law) -> None:
    """The semi-implicit Langevin step of Cotter et al. (2013), for the reference and what the law has beside it."""
    angle = math.acos((2 - delta) / (2 + delta))
    there, log_ratio = propose(MOVES["pcnl"], PLACES, angle / (math.pi / 2), FRESH, law)
    noise_part = math.sqrt(8 * delta) / (2 + delta)

    def mean(z: Tensor) -> Tensor:
        pull = potential(z)[1] - z + z / width(law) ** 2  # gradient of the log-density beside the reference
        return ((2 - delta) * z + 2 * delta * width(law) ** 2 * pull) / (2 + delta)

    torch.testing.assert_close(there.z, mean(PLACES) + noise_part * width(law) * FRESH)
    torch.testing.assert_close(log_ratio, log_ratio_by_densities(there.z, mean, noise_part * width(law)))
    assert log_ratio.std() > 0.001


@pytest.mark.parametrize("leaps", [1, 2, 5])
def test_linear_rewards_are_followed_without_an_error_at_any_stride(leaps: int) -> None:
    evaluate = evaluator("gaussian", REWARDS["linear"], 6.0)
    for stride in (0.2, 1.0):
        wide = torch.full((2,), stride).double()
        there, log_ratio = SplitHamiltonian(leaps).propose(
            Point(PLACES, evaluate(PLACES)), Law(HEAT), wide, FRESH, evaluate
        )
        torch.testing.assert_close(log_ratio, torch.zeros(2, 40).double(), rtol=0, atol=1e-9)
        assert (there.tilt.value - evaluate(PLACES).value).std() > 0.5  # it went somewhere


def leapfrog(z: Tensor, p: Tensor, angle: float, leaps: int, force: Callable[[Tensor], Tensor]) -> tuple:
    """Rotations in the complex plane of ``z + i p``, kicks between them."""
    kick = math.tan(angle / 2)
    for leap in range(leaps):
        p = p + (kick if leap == 0 else 2 * kick) * force(z)
        turned = torch.complex(z, p) * complex(math.cos(angle), -math.sin(angle))
        z, p = turned.real, turned.imag
    return z, p + kick * force(z)


def mixture_force(z: Tensor) -> Tensor:
    gradient = evaluator(FINE, REWARDS["quadratic"], 2.0)(z).gradient
    assert gradient is not None
    return HEAT[:, None, None] * gradient


def mixture_energy(z: Tensor, p: Tensor) -> Tensor:
    value = evaluator(FINE, REWARDS["quadratic"], 2.0)(z).value
    return (z.square() + p.square()).sum(-1) / 2 - HEAT[:, None] * value


@pytest.mark.parametrize("leaps", [1, 3])
def test_hmc_follows_a_leapfrog_and_comes_back(leaps: int) -> None:
    """A map that returns when the momentum is flipped, and whose ratio is the energy lost, is a Metropolis move."""
    stride, evaluate = torch.full((2,), 0.9, dtype=torch.float64), evaluator(FINE, REWARDS["quadratic"], 2.0)
    move = SplitHamiltonian(leaps)
    there, log_ratio = move.propose(Point(PLACES, evaluate(PLACES)), Law(HEAT), stride, FRESH, evaluate)
    z, p = leapfrog(PLACES, FRESH, 0.9 * math.pi / 2 / leaps, leaps, mixture_force)
    torch.testing.assert_close(there.z, z)
    torch.testing.assert_close(log_ratio, mixture_energy(PLACES, FRESH) - mixture_energy(z, p))
    back, log_ratio_back = move.propose(there, Law(HEAT), stride, -p, evaluate)
    torch.testing.assert_close(back.z, PLACES)
    torch.testing.assert_close(log_ratio_back, -log_ratio)
    assert log_ratio.std() > 0.05


def test_hmc_keeps_volume() -> None:
    """The determinant of the leapfrog that :func:`test_hmc_follows_a_leapfrog_and_comes_back` compares with."""

    def force(z: Tensor) -> Tensor:
        return torch.stack([z[1].sin() - z[0] ** 3, z[0] * z[1].cos() - z[1]])  # no symmetry, and a gradient

    def flow(state: Tensor) -> Tensor:
        return torch.cat(leapfrog(state[:2], state[2:], 0.45, 3, force))

    state = torch.tensor([0.7, -1.1, 0.4, 0.9]).double()
    jacobian = torch.autograd.functional.jacobian(flow, state)
    torch.testing.assert_close(torch.linalg.det(jacobian), torch.ones(()).double())


@EACH_MOVE
def test_stride_of_one_forgets_where_it_was(move: str) -> None:
    """Without a reward: the proposal is the fresh noise itself, and always taken."""
    evaluate = evaluator("gaussian", REWARDS["linear"], 0.0)
    one = torch.ones(2).double()
    there, log_ratio = MOVES[move].propose(Point(PLACES, evaluate(PLACES)), Law(one), one, FRESH, evaluate)
    torch.testing.assert_close(there.z, FRESH)
    torch.testing.assert_close(log_ratio, torch.zeros(2, 40).double())


def test_acceptance_moves_a_particle_with_all_its_caches() -> None:
    evaluate = evaluator("gaussian", SLANTED, 2.0)
    here, there = (Point(z, evaluate(z)) for z in (PLACES[:, :4], FRESH[:, :4]))
    log_ratio = torch.tensor([[math.log(0.3), math.log(0.3), 2.0, -1e9]] * 2).double()
    u = torch.tensor([[0.29, 0.31, 0.999, 0.0]] * 2).double()
    after, chance = accept(here, there, log_ratio, u)
    taken = torch.tensor([[True, False, True, False]] * 2)
    torch.testing.assert_close(chance, torch.tensor([[0.3, 0.3, 1.0, 0.0]] * 2).double())
    assert torch.equal(after.z, torch.where(taken[..., None], there.z, here.z))
    for name, values in evaluate(after.z)._asdict().items():
        if values is not None:
            torch.testing.assert_close(getattr(after.tilt, name), values)
