"""Velocity, score and denoiser of the analytic models against the mixture that the path is at every time."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.interpolant import denoiser_from_velocity, noise_from_velocity, score_from_velocity
from fmtt.models.analytic import Gaussian, GaussianMixture, MixtureLaw, ring_of_gaussians
from tests.support import GAUSSIAN, MIXTURE

TIMES = (0.0, 0.07, 0.4, 0.85, 0.98)
MODELS = pytest.mark.parametrize("model", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])


def marginal(law: MixtureLaw, t: float | Tensor) -> MixtureLaw:
    """The law of ``x_t = (1 - t) x_0 + t x_1``."""
    return MixtureLaw(t * law.means, torch.sqrt((1 - t) ** 2 + (t * law.stds) ** 2), law.log_weights)


def cloud(count: int = 50, dimension: int = 2) -> Tensor:
    return 1.5 * noise.normal((count, dimension), 0, "points").double()


def at(x: Tensor, t: float) -> Tensor:
    return x.new_full(x.shape[:1], t)


@MODELS
@pytest.mark.parametrize("t", TIMES)
def test_score_is_the_gradient_of_the_log_density(model, t: float) -> None:
    x = cloud().requires_grad_()
    (truth,) = torch.autograd.grad(marginal(model.law, t).log_prob(x).sum(), x)
    score = score_from_velocity(model.velocity(x, at(x, t)), x, at(x, t))
    torch.testing.assert_close(score, truth, rtol=1e-9, atol=1e-9)


@MODELS
@pytest.mark.parametrize("t", TIMES[1:])
def test_velocity_satisfies_the_continuity_equation(model, t: float) -> None:
    """``d_t log rho + b . grad log rho + div b = 0``: the velocity carries exactly the marginals of the path."""
    x, time = cloud().requires_grad_(), torch.tensor(t, dtype=torch.float64, requires_grad=True)
    velocity = model.velocity(x, at(x, t))
    divergence = sum(torch.autograd.grad(velocity[:, d].sum(), x, retain_graph=True)[0][:, d] for d in range(2))
    along = torch.stack(
        [torch.autograd.grad(value, (x, time), retain_graph=True)[1] for value in marginal(model.law, time).log_prob(x)]
    )
    (score,) = torch.autograd.grad(marginal(model.law, t).log_prob(x).sum(), x)
    residual = along + (velocity * score).sum(1) + divergence
    torch.testing.assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-8)
    assert divergence.abs().max() > 0.1


@pytest.mark.parametrize("t", TIMES)
def test_denoiser_and_noise_are_posterior_means(t: float) -> None:
    """``E[x_1 | x_t]`` and ``E[x_0 | x_t]`` by quadrature over x_1."""
    model = GaussianMixture(((-1.2,), (0.4,), (2.0,)), (0.3, 0.6, 0.45), (0.5, 0.2, 0.3))
    x, x1 = cloud(20, 1), torch.linspace(-8, 8, 20_001, dtype=torch.float64)[:, None]
    x0 = (x[:, None, 0] - t * x1[:, 0]) / (1 - t)
    posterior = torch.softmax(model.law.log_prob(x1) - x0**2 / 2, dim=1)
    velocity = model.velocity(x, at(x, t))
    torch.testing.assert_close(
        denoiser_from_velocity(velocity, x, at(x, t))[:, 0], posterior @ x1[:, 0], rtol=1e-8, atol=1e-8
    )
    torch.testing.assert_close(
        noise_from_velocity(velocity, x, at(x, t))[:, 0], (posterior * x0).sum(1), rtol=1e-8, atol=1e-8
    )


def test_clean_data_hold_no_noise() -> None:
    x, one = cloud(), at(cloud(), 1.0)
    velocity = MIXTURE.velocity(x, one)
    torch.testing.assert_close(noise_from_velocity(velocity, x, one), 0 * x, rtol=0, atol=1e-12)
    assert torch.equal(denoiser_from_velocity(velocity, x, one), x)


def test_mixture_of_one_component_is_a_gaussian() -> None:
    gaussian, mixture = Gaussian((0.5, -0.3), 0.7), GaussianMixture(((0.5, -0.3),), 0.7, steps=100)
    x, t = cloud(), noise.uniform((50,), 0, "t")
    torch.testing.assert_close(mixture.velocity(x, t), gaussian.velocity(x, t))
    torch.testing.assert_close(mixture.flow_map(x, t / 2, t), gaussian.flow_map(x, t / 2, t), rtol=1e-6, atol=1e-8)


def test_ring_has_its_modes_on_a_circle() -> None:
    ring = ring_of_gaussians(8, 3.0, 0.2)
    torch.testing.assert_close(ring.means.norm(dim=1), torch.full((8,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(ring.law.mean, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.pdist(ring.means).min() == pytest.approx(6 * math.sin(math.pi / 8))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Gaussian((0.0, float("nan")), 1.0), "model.mean=nan"),
        (lambda: Gaussian((0.0, 0.0), 0.0), "model.std=0.0: must be positive"),
        (lambda: Gaussian((0.0, 0.0), (1.0, 1.0, 1.0)), "1.0.*must be one number or 2 numbers"),
        (lambda: GaussianMixture(((0.0, 0.0), (1.0,)), 1.0), "points of one dimension"),
        (lambda: GaussianMixture((), 1.0), "points of one dimension"),
        (lambda: GaussianMixture(((0.0,), (1.0,)), 1.0, (1.0,)), "2 numbers, one per mean"),
        (lambda: GaussianMixture(((0.0,), (1.0,)), 1.0, (1.0, -1.0)), "model.weights=-1.0: must be positive"),
        (lambda: GaussianMixture(((0.0,), (1.0,)), (1.0, 2.0, 3.0)), "must be one number or 2 numbers"),
        (lambda: GaussianMixture(((0.0,), (1.0,)), 1.0, steps=0), "steps=0: must be a whole number of at least 1"),
    ],
)
def test_bad_parameters_are_named(build, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()
