"""The ring against the mixture that it is the limit of, and the map that was trained on it against the exact one."""

import pytest
import torch

from fmtt.flow import noise
from fmtt.models.analytic import ring_of_gaussians
from fmtt.models.learned import load_flow_map
from fmtt.models.ring import Ring

RING = Ring(1.5, 0.1)
X0 = noise.normal((500, 2), 0, "noise").double()


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8, 1.0])
def test_velocity_is_that_of_many_modes(t: float) -> None:
    time = torch.full((500,), t, dtype=torch.float64)
    x = (1 - t) * X0 + t * RING.law.sample(500, 1)
    torch.testing.assert_close(RING.velocity(x, time), ring_of_gaussians(400, 1.5, 0.1).velocity(x, time))


def test_law_is_even_around_the_circle() -> None:
    angle = torch.linspace(0, 1, 1000, dtype=torch.float64)
    for radius in (1.3, 1.5, 1.6):
        density = RING.law.log_prob(radius * torch.stack([angle.cos(), angle.sin()], dim=1))
        assert density.max() - density.min() < 1e-7


def test_velocity_is_smooth_at_the_centre() -> None:
    centre, time = torch.zeros(1, 2), torch.full((1,), 0.5)
    jacobian = torch.func.jacrev(lambda x: RING.velocity(x, time))(centre)[0, :, 0]
    h = 1e-3
    sides = [(RING.velocity(s * torch.eye(2) * h, time.expand(2))) for s in (1, -1)]
    torch.testing.assert_close(jacobian, ((sides[0] - sides[1]) / (2 * h)).T, rtol=1e-3, atol=1e-3)


def test_flow_map_takes_noise_to_the_ring() -> None:
    zero, one = torch.zeros(500), torch.ones(500)
    x = RING.flow_map(X0.float(), zero, one)
    assert (x.norm(dim=1) - 1.5).std() == pytest.approx(0.1, abs=0.01)
    back = RING.flow_map(RING.flow_map(X0.float(), zero, one / 3), one / 3, one)
    assert (back - x).norm(dim=1).median() < 1e-4


@pytest.mark.parametrize(("t", "allowed"), [(0.0, 0.006), (0.5, 0.005), (0.9, 0.003)])
def test_the_bundled_map_lands_where_the_exact_one_does(t: float, allowed: float) -> None:
    learned, exact = load_flow_map("ring", truth=Ring(1.0, 0.05)), Ring(1.0, 0.05)
    start, time, one = torch.zeros(500), torch.full((500,), t), torch.ones(500)
    x = exact.flow_map(X0.float(), start, time)
    error = (learned.flow_map(x, time, one) - exact.flow_map(x, time, one)).norm(dim=1)
    assert error.median() < allowed
    assert learned.law is not None


@pytest.mark.parametrize(("radius", "std"), [(0.0, 0.1), (1.0, -0.1)])
def test_impossible_rings_are_refused(radius: float, std: float) -> None:
    with pytest.raises(ValueError, match=r"model\.(radius|std)"):
        Ring(radius, std)
