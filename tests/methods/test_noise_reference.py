"""The Gaussian that moves propose from is narrower than the noise only where the particles clearly are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt import modes
from fmtt.flow import noise
from fmtt.methods.noise_reference import NARROWEST, fitted
from fmtt.models.analytic import Gaussian
from fmtt.rewards import Quadratic
from fmtt.smc.population import Population
from fmtt.tilt.tilt import TiltValue


def population(z: Tensor, log_weights: Tensor | None = None) -> Population:
    begun = Population.start(z, TiltValue.unknown(z))
    return begun if log_weights is None else Population(**{**vars(begun), "log_weights": log_weights})


def draws(groups: int, particles: int, size: int) -> Tensor:
    return noise.normal((groups, particles, size), 9, "reference").double()


@pytest.mark.parametrize(("particles", "size"), [(32, 32), (128, 64), (128, 1024)])
def test_noise_is_hardly_ever_taken_for_narrow(particles: int, size: int) -> None:
    """One in 44 is below two errors of a normal variable; logarithms of variances have a longer tail there."""
    groups = 65536 // size
    scale = fitted(population(draws(groups, particles, size)))
    assert scale.shape == (groups, size)
    assert (scale < 1).double().mean() < 0.05
    assert scale.max() == 1


def test_a_narrow_direction_is_found_among_wide_ones() -> None:
    widths = torch.ones(64).double()
    widths[5] = 0.1
    scale = fitted(population(draws(32, 128, 64) * widths + 3))
    assert (scale[:, 5] > 0.1).all() and (scale[:, 5] < 0.3).all()
    assert scale[:, torch.arange(64) != 5].mean() > 0.98


def test_what_all_directions_have_in_common_is_found_with_few_particles() -> None:
    scale = fitted(population(draws(32, 48, 512) * 0.6))
    assert abs(scale.mean() - 0.6) < 0.02
    assert scale.std() < 0.02


def test_several_modes_are_not_taken_for_a_wide_one() -> None:
    z = draws(8, 100, 2)
    z[:, ::2, 0] += 9
    assert fitted(population(z)).max() == 1


def test_weights_count_and_so_does_the_effective_number() -> None:
    """Without weight, the wide half is not seen; with one particle that has all the weight, nothing is known."""
    z = draws(16, 400, 2)
    z[:, :200] *= 0.2
    weights = torch.zeros(16, 400).double()
    weights[:, 200:] = -1e3
    assert abs(fitted(population(z, weights)).mean() - 0.2) < 0.05
    weights[:, 1:] = -1e3
    alone = fitted(population(z, weights))
    assert alone.isfinite().all() and alone.min() >= NARROWEST


def mean_square(reference: str) -> float:
    """Of the error of log Z of a tilt that narrows every direction of 32."""
    law, reward = Gaussian([0.0] * 32, [1.0] * 32), Quadratic((3.0,) + (0.0,) * 31, (4.0,) * 32)
    mode = modes.noise_smc(reference=reference, chain=16, ess_threshold=0.5, pilot=0)
    run = fmtt.assemble(law, reward, mode=mode, steps=10, groups=32, particles=192, seed=3)
    with torch.no_grad():
        log_z = run.loop.last().population.log_evidence
    return (log_z - law.law.tilted(*reward.quadratic_form(32))[1]).square().mean().item()


def test_a_fitted_reference_pays_where_the_tilt_narrows() -> None:
    assert mean_square("fitted") < 0.5 * mean_square("prior")
