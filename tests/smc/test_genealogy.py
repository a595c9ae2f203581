"""What one population knows about its own error, against the spread of many populations."""

import pytest
import torch

from fmtt.flow import noise
from fmtt.smc.diagnostics import evidence_variance, family_sums, mean_variance, weighted_mean
from tests.support import Setup, ended


def test_without_resampling_it_is_the_sample_variance() -> None:
    log_weights = noise.normal((3, 50), 0, "log weights").double()
    values = noise.normal((3, 50), 0, "values").double()
    own = torch.arange(50).expand(3, 50)
    weights = log_weights.exp()
    plain = weights.var(dim=1) / 50 / weights.mean(1) ** 2
    torch.testing.assert_close(evidence_variance(log_weights, own, torch.zeros(3)), plain)
    share = weights / weights.sum(1, keepdim=True)
    centred = values - (share * values).sum(1, keepdim=True)
    expected = 50 / 49 * (share * centred).square().sum(1)
    torch.testing.assert_close(mean_variance(values, log_weights, own, torch.zeros(3)), expected)


def test_families() -> None:
    sums = family_sums(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[2, 0, 2]]))
    assert sums.tolist() == [[2.0, 0.0, 5.0]]


def test_one_ancestor_knows_nothing() -> None:
    one = torch.zeros(2, 8, dtype=torch.long)
    assert evidence_variance(torch.zeros(2, 8).double(), one, torch.ones(2)).tolist() == [1.0, 1.0]
    assert mean_variance(torch.arange(16.0).reshape(2, 8), torch.zeros(2, 8).double(), one, torch.ones(2)).max() < 1e-20


@pytest.mark.parametrize(("resampler", "ratio"), [("multinomial", (0.7, 1.4)), ("systematic", (0.7, 2.5))])
def test_it_predicts_the_spread_over_populations(resampler: str, ratio: tuple[float, float]) -> None:
    """512 populations of 128: the mean estimate over the variance that is seen.

    The variance of 512 normal values is known to sqrt(2/511) = 6%, and the weights have tails; systematic
    resampling is better than the multinomial one that the formula is for, so there the estimate is too large.
    """
    setup = Setup(weights="kernel", ess_threshold=0.9, resampler=resampler, scale=2.0, groups=512)
    state, totals = ended(setup.loop())
    population, resamplings = state.population, totals.selections
    assert 1 <= resamplings.double().mean() <= 4
    z = (population.log_evidence - population.log_evidence.logsumexp(0)).exp() * 512
    multinomials = resamplings * (resampler == "multinomial")
    genealogy = (population.log_weights, population.ancestors, multinomials)
    assert ratio[0] < (evidence_variance(*genealogy).mean() / z.var()).item() < ratio[1]
    x = population.x[..., 0].double()
    means = weighted_mean(x, population.log_weights)
    assert ratio[0] < (mean_variance(x, *genealogy).mean() / means.var()).item() < ratio[1]
