"""Resamplers: bounds on offspring, variances in closed form, and groups that do not see each other.

That the mean number of offspring is right, and that zero weights have none, is in ``tests/regression``.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fmtt.flow import noise
from fmtt.smc.resampling import RESAMPLERS, inverse_cdf, offspring_to_index

ALL = pytest.mark.parametrize("kind", RESAMPLERS)


def uniforms(groups: int, n: int, m: int, seed: int = 0) -> Tensor:
    return noise.uniform((groups, max(m, 2 * n)), seed, "u")


def offspring(index: Tensor, n: int) -> Tensor:
    """Number of offspring of each particle, ``(G, M)`` to ``(G, n)``."""
    return torch.zeros(len(index), n, dtype=torch.float64).scatter_add(
        1, index, torch.ones(index.shape, dtype=torch.float64)
    )


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Weights ``(3, n)`` from smooth to nearly degenerate, some exactly zero; uniforms and a number of offspring."""
    n, m, seed = draw(st.integers(1, 40)), draw(st.integers(1, 60)), draw(st.integers(0, 10_000))
    log_weights = draw(st.sampled_from([0.0, 1.0, 8.0])) * noise.normal((3, n), seed, "w").double()
    dead = noise.uniform((3, n), seed, "dead") < draw(st.sampled_from([0.0, 0.5]))
    dead[:, seed % n] = False
    return torch.softmax(log_weights.masked_fill(dead, -torch.inf), 1), uniforms(3, n, m, seed), m


@ALL
@given(problem=problems())
def test_indices_are_valid_and_their_number_right(kind: str, problem: tuple[Tensor, Tensor, int]) -> None:
    weights, u, m = problem
    index = RESAMPLERS[kind](weights, u, m)
    assert index.shape == (3, m)
    assert index.dtype == torch.int64
    assert (index >= 0).all()
    assert (index < weights.shape[1]).all()
    assert (weights.gather(1, index) > 0).all()


@pytest.mark.parametrize("kind", ["ssp", "systematic"])
@given(problem=problems())
def test_offspring_are_floor_or_ceiling(kind: str, problem: tuple[Tensor, Tensor, int]) -> None:
    weights, u, m = problem
    excess = offspring(RESAMPLERS[kind](weights, u, m), weights.shape[1]) - m * weights
    assert excess.abs().max() < 1 + 1e-9


@given(problem=problems())
def test_residual_gives_at_least_the_floor(problem: tuple[Tensor, Tensor, int]) -> None:
    weights, u, m = problem
    shortfall = (m * weights - 1e-9).floor() - offspring(RESAMPLERS["residual"](weights, u, m), weights.shape[1])
    assert shortfall.max() <= 0


@pytest.mark.parametrize("kind", ["systematic", "stratified", "residual", "ssp"])
@pytest.mark.parametrize("n", [1, 2, 6, 49, 98, 103, 256])
def test_equal_weights_leave_everybody_with_one(kind: str, n: int) -> None:
    """Also where ``n * (1 / n)`` is rounded to less than one, as it is for 49, 98 and 103."""
    weights = torch.full((5, n), 1 / n, dtype=torch.float64)
    counts = offspring(RESAMPLERS[kind](weights, uniforms(5, n, n), n), n)
    assert (counts == 1).all()


@ALL
@given(problem=problems())
def test_groups_do_not_see_each_other(kind: str, problem: tuple[Tensor, Tensor, int]) -> None:
    weights, u, m = problem
    together = RESAMPLERS[kind](weights, u, m)
    for g in range(3):
        assert torch.equal(RESAMPLERS[kind](weights[g : g + 1], u[g : g + 1], m), together[g : g + 1])
    other = RESAMPLERS[kind](torch.cat([weights[:1], weights[1:].flip(1)]), u, m)
    assert torch.equal(other[0], together[0])


@ALL
def test_single_survivor_takes_all(kind: str) -> None:
    weights = torch.eye(6, dtype=torch.float64)
    index = RESAMPLERS[kind](weights, uniforms(6, 6, 9), 9)
    assert torch.equal(index, torch.arange(6)[:, None].expand(6, 9))


def variance(kind: str, weights: Tensor, values: Tensor, m: int, groups: int = 20_000) -> tuple[float, float]:
    """Variance over groups of ``sum_i f(x_i)`` and its standard error."""
    n = len(weights)
    index = RESAMPLERS[kind](weights.expand(groups, n), uniforms(groups, n, m), m)
    square = (values[index].sum(1) - m * weights @ values) ** 2
    return square.mean().item(), (square.std() / groups**0.5).item()


def of_law(probabilities: Tensor, values: Tensor) -> Tensor:
    """Variance of one draw, ``(..., n)`` to ``(...)``."""
    return probabilities @ values**2 - (probabilities @ values) ** 2


def strata(weights: Tensor, m: int) -> Tensor:
    """Law of the draw in each of m strata, ``(m, n)``."""
    ends = torch.cat([torch.zeros(1).double(), weights.cumsum(0)])
    low, high = torch.arange(m)[:, None] / m, torch.arange(1, m + 1)[:, None] / m
    return m * (torch.minimum(ends[1:], high) - torch.maximum(ends[:-1], low)).clamp_min(0)


@pytest.mark.parametrize("m", [4, 7, 16])
def test_variances_in_closed_form_and_their_order(m: int) -> None:
    weights = torch.tensor([0.02, 0.31, 0.17, 0.08, 0.25, 0.12, 0.05], dtype=torch.float64)
    values = torch.tensor([1.0, -2.0, 0.5, 4.0, 0.0, 1.5, -1.0], dtype=torch.float64)
    rest = m * weights - (m * weights).floor()
    truth = {
        "multinomial": m * of_law(weights, values),
        "residual": rest.sum() * of_law(rest / rest.sum(), values),
        "stratified": of_law(strata(weights, m), values).sum(),
    }
    for kind, expected in truth.items():
        found, error = variance(kind, weights, values, m)
        assert abs(found - expected) / error < 4, kind
    ssp, _ = variance("ssp", weights, values, m)
    assert max(truth["residual"], truth["stratified"], ssp) < truth["multinomial"]


def test_systematic_and_stratified_share_their_strata() -> None:
    """With one number in every stratum the two are the same."""
    weights, u = torch.softmax(noise.normal((4, 9), 0, "w").double(), 1), uniforms(4, 9, 12)
    same = u[:, :1].expand_as(u)
    assert torch.equal(RESAMPLERS["systematic"](weights, u, 12), RESAMPLERS["stratified"](weights, same, 12))


def test_inverse_cdf_by_hand() -> None:
    weights = torch.tensor([[0.2, 0.0, 0.5, 0.3]], dtype=torch.float64)
    points = torch.tensor([[0.0, 0.1999, 0.2, 0.6, 0.7, 0.9999]], dtype=torch.float64)
    assert inverse_cdf(weights, points).tolist() == [[0, 0, 2, 2, 3, 3]]
    assert torch.equal(inverse_cdf(8 * weights, points), inverse_cdf(weights, points))


def test_offspring_to_index_by_hand() -> None:
    counts = torch.tensor([[0, 2, 0, 1], [3, 0, 0, 0]], dtype=torch.float64)
    assert offspring_to_index(counts, 3).tolist() == [[1, 1, 3], [0, 0, 0]]
