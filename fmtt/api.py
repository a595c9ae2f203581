"""Put a run together from a model, a reward and the choices; run it; hand back the result.

This is the whole of the library's surface: :func:`sample` for one call, :func:`assemble` for those who want the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from fmtt.checks import not_a_word, whole_number
from fmtt.flow.batches import Alone, Batches, Processes
from fmtt.flow.conditions import count, encoded, entries, moved
from fmtt.flow.meter import Meter, MeteredModel, MeteredReward
from fmtt.flow.noise import Draws, Noise, OnHost
from fmtt.flow.precision import mixed, precision_for
from fmtt.flow.protocols import Velocity, as_flow, as_reward
from fmtt.flow.schedules import Chi, Epsilon, Grid, PowerEpsilon, PowerGrid, PowerRamp, Ramp, ZeroChi, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.loop import Loop, State
from fmtt.methods.method import Method
from fmtt.methods.pilots import Tuned
from fmtt.methods.problem import Problem, normal_start
from fmtt.methods.result import Result
from fmtt.methods.role import returned, role_of
from fmtt.step.damping import Damping, NoDamping
from fmtt.step.transport import Euler, FlowMapTransport, Transport
from fmtt.tilt.look_ahead import FlowMapJumps, LookAhead, NoLookAhead
from fmtt.tilt.tilt import Tilt

MakeLookAhead = Callable[[Velocity], LookAhead]


@dataclass(frozen=True)
class Run:
    """A run that is ready to start.

    Attributes:
        problem: what the method is given.
        method: the method.
        role: whether a group returns its best particle, ``maximise``, or a draw by weight, ``sample``.
        loop: the method on the problem.
        prompt: the number of the prompt of each group, ``(G,)``; 0 where there are no conditions.
        prompts: how many prompts there are, or None where there are no conditions.
        pending: schedules that a pilot has yet to find.
    """

    problem: Problem
    method: Method
    role: str
    loop: Loop
    prompt: Tensor
    prompts: int | None
    pending: tuple[Tuned, ...] = ()

    @property
    def meter(self) -> Meter:
        return self.problem.model.meter

    def scheduled(self) -> Run:
        """The run with all schedules in place; their pilots are run here, and their calls counted."""
        loop = self.loop
        for schedule in self.pending:
            loop = schedule.tune(loop)  # type: ignore[arg-type]
        return replace(self, loop=loop, pending=())

    def tuned(self) -> Run:
        """The run with all schedules in place, and with what the pilot of its mode finds; calls are counted."""
        made = self.scheduled()
        return replace(made, loop=made.loop.tuned())

    def baseline(self) -> Run:
        """The run of the base model from the same noise, with a meter of its own.

        It has the settings of this run: times, noise, transport, and the picture where one is edited. Noise that was
        prepared for the tilt is not used.
        """
        meter = Meter(self.meter.device)
        model = replace(self.problem.model, meter=meter)
        reward: Any = self.problem.tilt.reward
        reward = replace(reward, meter=meter)
        tilt = replace(self.problem.tilt, model=model, make_look_ahead=NoLookAhead, reward=reward)
        problem = replace(self.problem, model=model, tilt=tilt, opening=None)
        if model.velocity is None:  # a generator makes its samples in one jump
            problem = replace(problem, epsilon=ZeroEpsilon(), transport=FlowMapTransport, times=(0.0, 1.0))
        method = modes.base()
        loop = method.loop(problem)
        if self.method.through_time and model.velocity is not None:  # a pilot may have placed its times
            loop = replace(loop, times=self.loop.times)  # type: ignore[attr-defined]
        return Run(problem, method, method.role, loop, self.prompt, self.prompts)


def assemble(
    model: Velocity,
    reward: Callable[..., Tensor],
    *,
    conditions: Tensor | Sequence[Any] | None = None,
    look_ahead: MakeLookAhead = partial(FlowMapJumps, steps=1),
    mode: Method | Callable[[], Method] = modes.importance,
    role: str | None = None,
    scale: float = 1.0,
    steps: int = 40,
    grid: Grid | None = None,
    epsilon: Epsilon = PowerEpsilon(),
    beta: Ramp = PowerRamp(),
    transport: Callable[[Velocity], Transport] = Euler,
    chi: Chi = ZeroChi(),
    damping: Damping = NoDamping(),
    start: Callable[[Problem], Problem] = normal_start,
    probes: int = 8,
    groups: int = 4,
    particles: int = 64,
    chunk: int | None = None,
    seed: int = 0,
    draws: Draws = OnHost(),
    device: torch.device | str = "cpu",
    precision: str = "32-true",
    group_numbers: Sequence[int] | None = None,
    gradient_cost: float = 3.0,
    budgeted: bool = False,
    processes: Processes = Alone(),
) -> Run:
    """A run of ``mode`` on ``model`` tilted by ``exp(scale * reward)``.

    Args:
        model: a velocity, and a flow map if the look-ahead needs one; on ``device``, its network in ``precision``.
        reward: clean samples ``(B, *D)``, decoded if the model decodes, to ``(B,)``; differentiable if the method needs
            gradients. With conditions it gets the keyword ``condition`` if it has that parameter.
        conditions: one entry for each of P prompts, a tensor ``(P, ...)`` or a sequence; the model gets the keyword
            ``condition``, the rows that belong to its batch. Texts are encoded once, by ``model.encode_prompts``.
        look_ahead: makes the look-ahead of the model, such as ``partial(FlowMapJumps, steps=4)`` or ``Denoiser``.
        mode: the method, or what makes it, such as ``modes.search`` or ``modes.importance(weights="kernel")``.
        role: ``maximise`` returns the best particle of each group, ``sample`` a draw by weight; None is what the method
            is made for.
        scale: multiplies the reward.
        steps: steps K of the time grid.
        grid: the time grid; None for that of the model, which is uniform if it names none.
        epsilon, beta, chi: the schedules; those that a pilot finds, grids too, wait for :meth:`Run.tuned`.
        transport: makes the transport along the base ODE of the model.
        damping: how guidance is weakened early, against reward hacking.
        start: prepares where particles start, such as ``methods.annealed_start.AnnealedStart(8)``; by default noise.
        probes: random directions for the Laplacian that chi needs where the dimension is above 16.
        groups: R independent populations of each prompt; group g has prompt ``g // R``.
        particles: N in each group.
        chunk: the largest batch that the model sees; None for what suits the model.
        seed: every draw is a function of it, the group, the step and the purpose.
        draws: where random numbers are made, on the host or on the device.
        device: where the particles live.
        precision: ``32-true``, ``64-true``, ``bf16-true``, ``16-true``, or ``bf16-mixed`` and ``16-mixed``.
        group_numbers: the groups of this run; None for all P R of them.
        gradient_cost: what an evaluation of the tilt with its gradient costs, in evaluations without.
        budgeted: whether a method may have more particles, if fewer steps make them as cheap.
        processes: those that share out what the network computes, such as :class:`fmtt.run.processes.Together`.

    Raises:
        ValueError: if a value is impossible, the model has no flow map where one is needed, or the weights are wrong
            for the look-ahead.
    """
    not_a_word("look_ahead", look_ahead, "fmtt.Denoiser")
    not_a_word("mode", mode, "fmtt.modes.search")
    whole_number("population.groups", groups, 1)
    whole_number("population.particles", particles, 1)
    whole_number("seed", seed, 0)
    flow, record = as_flow(model), as_reward(reward)
    kind = precision_for(flow, precision)
    grid = grid or flow.grid or PowerGrid()
    times = grid.times(steps)
    if any(then <= now for now, then in pairwise(times)):
        raise ValueError(f"sampler.grid: {type(grid).__name__} with {steps} steps has two steps at the same time")
    given = None if conditions is None else moved(entries(conditions), device)
    if given is not None and not flow.conditional:
        raise ValueError("conditions: the model takes none; its velocity needs a parameter `condition`")
    if given is None and (flow.needs_condition or record.needs_condition):
        user = "model" if flow.needs_condition else "reward"
        raise ValueError(f"conditions: the {user} needs one entry for each prompt")
    prompts = None if given is None else count(given)
    numbers = tuple(range((prompts or 1) * groups)) if group_numbers is None else tuple(group_numbers)
    prompt = torch.tensor([number // groups for number in numbers], device=device)
    meter = Meter(torch.device(device))
    told = None if given is None else moved(encoded(given, flow.encode_prompts), device)
    metered = MeteredModel(flow, meter, kind.network, told)
    asked = None if given is None or not record.conditional else moved(encoded(given, record.encode_prompts), device)
    judged = MeteredReward(record, meter, flow.decode, asked)
    largest = flow.chunk if chunk is None else chunk
    batches = Batches(largest, None if given is None else prompt, prompts or 1, processes=processes, groups=numbers)
    tilt = Tilt(metered, look_ahead, judged, scale, beta, batches)
    noise = Noise(seed, numbers, device, kind.samples, draws)
    parts = (metered, tilt, epsilon, chi, damping, transport, probes, times, particles, noise)
    problem = start(Problem(*parts, gradient_cost=gradient_cost, budgeted=budgeted))
    method = mode() if callable(mode) else mode
    loop = method.loop(problem)
    if problem.opening is not None and not method.through_time:
        raise ValueError(f"sampler.start: {type(loop).__name__} has a start of its own; use sampler/start=normal")
    pending = tuple(schedule for schedule in (epsilon, grid, beta) if isinstance(schedule, Tuned))
    if pending and not method.through_time:
        raise ValueError(f"sampler.grid, beta, epsilon: {type(loop).__name__} has no steps that a pilot could see")
    return Run(problem, method, role_of(method, role), loop, prompt, prompts, pending)


def finish(run: Run, state: State) -> Result:
    """The result of a run that has reached ``state``, its last."""
    population = state.population
    return Result(
        samples=population.x,
        decoded=run.problem.model.rendered(population.x, run.problem.tilt.batches),
        log_weights=population.log_weights,
        rewards=population.tilt.reward,
        selected=returned(run.role, population, run.loop.noise),
        log_z=population.log_evidence,
        ess=population.ess,
        ancestors=population.ancestors,
        prompt=run.prompt,
        prompts=run.prompts,
        meter=run.meter,
    )


def sample(
    model: Velocity,
    reward: Callable[..., Tensor],
    conditions: Tensor | Sequence[Any] | None = None,
    look_ahead: MakeLookAhead = partial(FlowMapJumps, steps=1),
    mode: Method | Callable[[], Method] = modes.importance,
    scale: float = 1.0,
    groups: int = 4,
    particles: int = 64,
    steps: int = 40,
    chunk: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: str = "32-true",
) -> Result:
    """Tilt ``model`` by ``exp(scale * reward)``: samples, weights and log Z; arguments as in :func:`assemble`."""
    run = assemble(
        model, reward, conditions=conditions, look_ahead=look_ahead, mode=mode, scale=scale, steps=steps, groups=groups,
        particles=particles, chunk=chunk, seed=seed, device=device, precision=precision,
    )  # fmt: skip
    with torch.no_grad(), mixed(precision, device):
        run = run.tuned()
        return finish(run, run.loop.last())
