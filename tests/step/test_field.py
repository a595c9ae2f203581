"""The velocity of the exactly tilted path against its closed form: the path of a tilted mixture is one of a mixture."""

from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import PowerEpsilon, PowerRamp, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.models.analytic import GaussianMixture
from fmtt.smc.diagnostics import mean_and_error
from fmtt.step.field import LocalTilt
from fmtt.step.transport import FlowMapTransport
from fmtt.tilt.look_ahead import FlowMapJumps
from fmtt.tilt.posterior import Posterior
from fmtt.tilt.tilt import Tilt
from tests.support import MIXTURE, REWARDS

LINEAR = REWARDS["linear"]
TILTED, _ = MIXTURE.law.tilted(*LINEAR.quadratic_form(2))  # a linear reward leaves components isotropic
EXACT = GaussianMixture(TILTED.means.tolist(), TILTED.stds[:, 0].tolist(), TILTED.log_weights.exp().tolist())
TILT = Tilt(MIXTURE, partial(FlowMapJumps, steps=1), LINEAR, 1.0, PowerRamp(), Batches(100_000))


def velocity(x: Tensor, t: float) -> Tensor:
    return MIXTURE.velocity(x.flatten(0, 1), x.new_full((x[..., 0].numel(),), t)).reshape(x.shape)


def estimates(x: Tensor, t: float, field: LocalTilt, factor: float = 1.0, groups: int = 8) -> Tensor:
    """Independent estimates at the points ``x (N, 2)``, ``(G, N, 2)``; the log-density is multiplied by ``factor``."""
    draws = noise.normal((groups, field.posterior.samples, *x.shape), 1, "look")
    points = x.expand(groups, *x.shape)

    def base(at: Tensor, time: float) -> Tensor:
        exact = velocity(at, time)
        flat = (1 - factor) * at / time if time else 0.0  # the velocity whose score is that times the factor
        return factor * exact + flat

    return field.velocity(points, t, base, TILT, draws)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("drop", [6.0, 12.0])
def test_velocity_of_the_tilted_path(t: float, drop: float) -> None:
    x = t * EXACT.law.sample(6, 3).float() + (1 - t) * noise.normal((6, 2), 4)
    truth = EXACT.velocity(x, torch.full((6,), t))
    found = estimates(x, t, LocalTilt(Posterior(1024, drop)))
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - truth).abs() < 4 * error + 0.02).all()
    assert (velocity(x[None], t)[0] - truth).abs().max() > 0.08  # the base velocity is another


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_log_density_matters(factor: float) -> None:
    t = 0.5
    x = t * EXACT.law.sample(6, 3).float() + (1 - t) * noise.normal((6, 2), 4)
    found = estimates(x, t, LocalTilt(Posterior(1024, 9.0)), factor)
    assert (found.mean(0) - EXACT.velocity(x, torch.full((6,), t))).abs().max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [ZeroEpsilon(), PowerEpsilon(0.5)], ids=["ODE", "SDE"])
def test_mode_samples_the_tilted_law_without_weights(epsilon) -> None:
    run = fmtt.assemble(
        MIXTURE, LINEAR, mode=partial(modes.local_tilt, samples=32), epsilon=epsilon, steps=24, groups=16, particles=64
    )
    x = run.loop.last().population.x.double()
    for values, true in ((x, TILTED.mean), (x**2, TILTED.second_moment)):
        for d in range(2):
            mean, error = mean_and_error(values[..., d].mean(1))
            assert abs(mean - true[d]) < 4 * error + 0.05  # Euler's error, and that of 32 samples


def test_flow_map_transport_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sampler\.transport=flowmap: follows the model"):
        fmtt.assemble(MIXTURE, LINEAR, mode=modes.local_tilt, transport=FlowMapTransport)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mode\.snr_drop=1"):
        modes.local_tilt(snr_drop=1.0)
    with pytest.raises(ValueError, match=r"mode\.samples=1"):
        modes.local_tilt(samples=1)
