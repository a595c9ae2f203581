"""Put a run together from a model, a reward and the choices; run it; hand back the result.

This is the whole of the library's surface: :func:`sample` for one call, :func:`assemble` for those who want the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.meter import Meter, MeteredModel, MeteredReward
from fmtt.flow.model import Flow, Velocity
from fmtt.flow.noise import Noise
from fmtt.flow.schedules import Chi, Epsilon, Grid, PowerEpsilon, PowerGrid, PowerRamp, Ramp, ZeroChi
from fmtt.methods import presets as modes
from fmtt.methods.loop import Loop, State
from fmtt.methods.pilots import Tuned
from fmtt.methods.presets import Method
from fmtt.methods.problem import Setting, normal_start
from fmtt.methods.trajectory import Sampler
from fmtt.smc.diagnostics import log_mean_and_error, weighted_mean
from fmtt.step.dynamics import EXACT_LAPLACIAN
from fmtt.step.transport import Euler, Transport
from fmtt.tilt.look_ahead import FlowMapJumps, LookAhead
from fmtt.tilt.tilt import Tilt

Reward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Run:
    """A run that is ready to start.

    Attributes:
        loop: the method.
        mode: how its result is chosen.
        meter: the ledger it writes to.
        pending: schedules that a pilot has yet to find.
    """

    loop: Loop
    mode: Method
    meter: Meter
    pending: tuple[Tuned, ...] = ()

    def tuned(self) -> Run:
        """The run with all schedules in place; the pilots are run here, and their calls counted."""
        loop = self.loop
        for schedule in self.pending:
            assert isinstance(loop, Sampler)
            loop = schedule.tune(loop)
        return replace(self, loop=loop, pending=())


@dataclass(frozen=True)
class Result:
    """What a run leaves.

    Attributes:
        samples: ``(G, N, *D)``.
        log_weights: ``(G, N)`` in float64; all zero if the last step resampled or the mode has no weights.
        rewards: ``r(samples)`` without the scale, ``(G, N)`` in float64.
        selected: the index of the particle that stands for each group, ``(G,)``.
        log_z: the estimate of ``log E[exp(scale r)]`` of each group, ``(G,)``.
        ess: final effective sample size as a fraction of N, ``(G,)``.
        meter: the calls that it took.
    """

    samples: Tensor
    log_weights: Tensor
    rewards: Tensor
    selected: Tensor
    log_z: Tensor
    ess: Tensor
    meter: Meter

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over particles of ``values (G, N, *E)``; ``(G, *E)``: estimates under the tilted law."""
        return weighted_mean(values, self.log_weights)

    @property
    def log_z_and_error(self) -> tuple[float, float]:
        """Log Z over all groups and its standard error."""
        return log_mean_and_error(self.log_z)


def assemble(
    model: Velocity,
    reward: Reward,
    *,
    look_ahead: Callable[[Velocity], LookAhead] = partial(FlowMapJumps, steps=1),
    mode: Callable[[LookAhead, Epsilon], Method] = modes.importance,
    scale: float = 1.0,
    steps: int = 40,
    grid: Grid = PowerGrid(),
    epsilon: Epsilon = PowerEpsilon(),
    beta: Ramp = PowerRamp(),
    transport: Callable[[Velocity], Transport] = Euler,
    chi: Chi = ZeroChi(),
    start: Callable[[Setting], Setting] = normal_start,
    probes: int = 8,
    groups: int = 4,
    particles: int = 64,
    chunk: int = 256,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Run:
    """A run of ``mode`` on ``model`` tilted by ``exp(scale * reward)``.

    Args:
        model: a velocity, and a flow map if the look-ahead needs one; on ``device``.
        reward: clean samples ``(B, *D)`` to ``(B,)``; differentiable if the mode needs gradients.
        look_ahead: makes the look-ahead of the model, such as ``partial(FlowMapJumps, steps=4)`` or ``Denoiser``.
        mode: makes the mode, such as ``modes.search`` or ``partial(modes.importance, weights="kernel")``.
        scale: multiplies the reward.
        steps: steps K of the time grid.
        grid, epsilon, beta, chi: the schedules; those that a pilot finds wait for :meth:`Run.tuned`.
        transport: makes the transport along the base ODE of the model.
        start: prepares where particles start, such as ``methods.noise_smc.AnnealedStart(8)``; by default N(0, I).
        probes: random directions for the Laplacian that chi needs where the dimension is above 16.
        groups, particles: G independent populations of N particles.
        chunk: the largest batch that the model sees.
        seed: every draw is a function of it, the group, the step and the purpose.
        device: where the particles live.

    Raises:
        ValueError: if a value is impossible, the model has no flow map where one is needed, or the weights are wrong
            for the look-ahead.
    """
    whole_number("population.groups", groups, 1)
    whole_number("population.particles", particles, 1)
    whole_number("population.chunk", chunk, 1)
    whole_number("seed", seed, 0)
    times = grid.times(steps)
    if any(then <= now for now, then in pairwise(times)):
        raise ValueError(f"sampler.grid: {type(grid).__name__} with {steps} steps has two steps at the same time")
    meter = Meter(torch.device(device))
    metered = MeteredModel(model, meter)
    look = look_ahead(metered)
    composed = mode(look, epsilon)
    tilt = Tilt(look, MeteredReward(reward, meter), scale, beta, chunk)
    noise = Noise(seed, tuple(range(groups)), device)
    setting = start(Setting(metered, tilt, epsilon, chi, transport, probes, times, particles, noise))
    loop = composed.loop(setting)
    if setting.opening is not None and not isinstance(loop, Sampler):
        raise ValueError(f"sampler.start: {type(loop).__name__} has a start of its own; use sampler/start=normal")
    pending = tuple(schedule for schedule in (grid, beta) if isinstance(schedule, Tuned))
    if pending and not isinstance(loop, Sampler):
        raise ValueError(f"sampler.grid, sampler.beta: {type(loop).__name__} has no steps that a pilot could place")
    return Run(loop, composed, meter, pending)


def dry_model(model: Velocity) -> Flow:
    """A toy that costs nothing and is called as often as ``model`` would be.

    Its dimension is small, but on the same side of that above which Laplacians are estimated.
    """
    shape = tuple(min(size, EXACT_LAPLACIAN + 1) for size in model.shape)
    mapped = getattr(model, "flow_map", None) is not None
    flow_map = (lambda x, s, t: 1 * x) if mapped else None
    return Flow(shape, lambda x, t: 0 * x, flow_map, getattr(model, "usual_error", None))


def finish(run: Run, state: State) -> Result:
    """The result of a run that has reached ``state``, its last."""
    population = state.population
    return Result(
        samples=population.x,
        log_weights=population.log_weights,
        rewards=population.tilt.reward,
        selected=run.mode.choose(population, run.loop.noise),
        log_z=population.log_evidence,
        ess=population.ess,
        meter=run.meter,
    )


def sample(
    model: Velocity,
    reward: Reward,
    *,
    look_ahead: Callable[[Velocity], LookAhead] = partial(FlowMapJumps, steps=1),
    mode: Callable[[LookAhead, Epsilon], Method] = modes.importance,
    scale: float = 1.0,
    steps: int = 40,
    groups: int = 4,
    particles: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Result:
    """Tilt ``model`` by ``exp(scale * reward)``: samples, weights and log Z; arguments as in :func:`assemble`."""
    run = assemble(
        model, reward, look_ahead=look_ahead, mode=mode, scale=scale, steps=steps, groups=groups, particles=particles,
        seed=seed, device=device,
    )  # fmt: skip
    run = run.tuned()
    return finish(run, run.loop.last())
