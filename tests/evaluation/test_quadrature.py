"""Tilted laws by quadrature against closed forms."""

import math

import pytest
import torch

from fmtt.evaluation.quadrature import tilted_by_quadrature
from fmtt.models.analytic import MixtureLaw, ring_of_gaussians
from fmtt.rewards import HalfPlane
from tests.support import MIXTURE, REWARDS


@pytest.mark.parametrize("name", REWARDS)
def test_agrees_with_the_closed_form(name: str) -> None:
    reward = REWARDS[name]
    precision, slope, constant = reward.quadratic_form(2)
    law, log_z = MIXTURE.law.tilted(1.3 * precision, 1.3 * slope, 1.3 * constant)
    found = tilted_by_quadrature(MIXTURE.law, reward, 1.3)
    torch.testing.assert_close(found.log_z, log_z, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.mean, law.mean, rtol=0, atol=1e-9)
    expected = slope @ law.mean + constant - precision @ law.second_moment / 2
    torch.testing.assert_close(found.reward, expected, rtol=0, atol=1e-9)


def test_half_of_a_standard_normal() -> None:
    """``E exp(-x^2 1[x < 0])`` is ``1/2 + 1 / (2 sqrt(3))`` in one dimension."""
    zero = torch.zeros(1, 1, dtype=torch.float64)
    law = MixtureLaw(zero, zero + 1, zero[0])
    found = tilted_by_quadrature(law, HalfPlane(), 1.0)
    assert found.log_z.item() == pytest.approx(math.log(0.5 + 0.5 / math.sqrt(3)), abs=1e-6)
    assert found.mean.item() > 0


def test_toy_a_has_the_values_of_the_reference() -> None:
    """8 Gaussians, half plane: mean reward -0.035, log Z -0.518, 83.9% on the right (computed elsewhere)."""
    found = tilted_by_quadrature(ring_of_gaussians(8, 4.8, 0.6).law, HalfPlane(), 1.0)
    assert found.reward.item() == pytest.approx(-0.035, abs=5e-4)
    assert found.log_z.item() == pytest.approx(-0.518, abs=5e-4)
    right = HalfPlane().statistics(found.points)["positive"]
    assert (found.weights @ right).item() == pytest.approx(0.839, abs=1e-3)


def test_three_dimensions_are_refused() -> None:
    law = MixtureLaw(torch.zeros(1, 3).double(), torch.ones(1, 3).double(), torch.zeros(1).double())
    with pytest.raises(ValueError, match="at most 2"):
        tilted_by_quadrature(law, HalfPlane(), 1.0)
