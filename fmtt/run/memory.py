"""Whether a run fits into memory, found before it starts: one sample and two are put through all its parts.

Two are not tried where batches have one sample, or where they do not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor

from fmtt.api import Run
from fmtt.flow.batches import Batches
from fmtt.flow.conditions import for_rows
from fmtt.flow.memory import Memory
from fmtt.flow.meter import Meter, MeteredReward
from fmtt.run.memory_weights import in_files, nbytes

LARGE = 2**28  # bytes of a sample, from which on a user is told what a run needs
TENSORS, NUMBERS = 8, 16  # of a particle: position, draws, gradient, velocity, landing, ...; rewards and weights
ROW = 2048  # bytes of a step: a row of the history with up to 20 columns, in memory and as text
SAFE = 0.9  # of the free memory: what libraries use for the moment is not counted


@dataclass(frozen=True)
class Estimate:
    """Bytes that a batch needs beside the weights.

    Attributes:
        parts: what one sample leaves alive in look-ahead, decoder and reward, for the gradient.
        fixed: needed by a batch of any size.
        sample: needed by each sample.
        most: the largest batch that is possible, if that is known.
        weights: bytes of the weights that each part uses, without those that a part before it uses, too.
        mapped: bytes of those that are read from files as they are used, which the machine counts as free.
        picture: bytes of a decoded sample; those of all particles are kept at the end. 0 without a decoder.
    """

    parts: Mapping[str, int]
    fixed: int
    sample: int
    most: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    mapped: int = 0
    picture: int = 0

    def batch(self, size: int) -> int:
        """Needed by a batch of ``size`` samples."""
        return self.fixed + size * self.sample

    def fits(self, free: float) -> int:
        """The largest batch that ``free`` bytes hold; 0 if they hold none."""
        found = max(0, int((free - self.fixed) // max(1, self.sample)))
        return found if self.most is None else min(found, self.most)


class Measured(NamedTuple):
    """What some samples need, in bytes.

    Attributes:
        parts, weights, mapped, picture: as in :class:`Estimate`.
        most: the most that is needed at one time beside the weights.
    """

    parts: dict[str, int]
    weights: dict[str, int]
    mapped: int
    picture: int
    most: int


def estimate(
    run: Run, gradient: bool, size: int | None = None, held_out: MeteredReward | None = None, less: str = ""
) -> Estimate:
    """What the batches of a run need, with the gradient of the reward or without.

    Args:
        run: the run.
        gradient: whether a gradient is computed.
        size: the largest batch; None if any is possible.
        held_out: a reward that sees the final samples.
        less: what is said of settings that need less, where one sample does not fit.

    Raises:
        ValueError: if one sample does not fit, or the run needs a Laplacian that the model does not have.
    """
    try:
        one = measured(run, 1, gradient, held_out)
    except torch.OutOfMemoryError as error:
        free = free_memory(run.meter.device)
        raise ValueError(
            f"memory: one sample does not fit beside the weights, and {gib(free)} are free{less}"
        ) from error
    single = Estimate(one.parts, 0, one.most, 1, one.weights, one.mapped, one.picture)
    if size == 1:
        return single
    try:
        two = measured(run, 2, gradient, held_out).most
    except torch.OutOfMemoryError:
        return single
    return replace(single, fixed=max(0, 2 * one.most - two), sample=max(0, two - one.most), most=None)


def make_room(run: Run, typed: int | None, held_out: MeteredReward | None = None, less: str = "") -> None:
    """Cut batches so that they fit into memory, and say on stderr what large samples and weights need.

    Args:
        run: the run.
        typed: the size of a batch that the user gave.
        held_out, less: as in :func:`estimate`.

    Raises:
        ValueError: if a single sample does not fit, or the ``typed`` size of a batch does not.
    """
    batches, rows, device = run.problem.tilt.batches, len(run.prompt) * run.problem.particles, run.meter.device
    size = min(rows, batches.chunk or rows)
    needs = estimate(run, run.loop.uses_gradient, size, held_out, less)
    free = max(0, free_memory(device) - needs.mapped - rows * needs.picture)
    most = largest_batch(needs, size, typed is not None, free, less)
    if most < size:
        batches.room.most = most
    if needs.batch(1) + sum(needs.weights.values()) > LARGE:
        print(
            f"fmtt: note: batches of {most} samples need {gib(needs.batch(most))}; {shares(needs, free)}",
            file=sys.stderr,
        )


def shares(needs: Estimate, free: float) -> str:
    """What one sample and the weights need for each part, and what is free beside the weights."""
    parts = ", ".join(f"{name} {gib(count)}" for name, count in needs.parts.items())
    weights = ", ".join(f"{name} {gib(count)}" for name, count in needs.weights.items() if count)
    loaded = f"{gib(sum(needs.weights.values()))} ({weights})" if weights else "nothing"
    return f"one sample needs {gib(needs.batch(1))} ({parts}); weights take {loaded}, and {gib(free)} are free beside"


def measured(run: Run, size: int, gradient: bool, held_out: MeteredReward | None = None) -> Measured:
    """What ``size`` samples leave alive in each part, the weights that it uses, and the most that is needed at once."""
    problem, meter = run.problem, Meter(run.meter.device)
    seeing: Any = replace(problem.tilt.reward, meter=meter)  # type: ignore[type-var]
    reward = replace(seeing, decode=None)
    model = replace(problem.model, meter=meter)
    decode, first = problem.model.flow.decode, None if run.prompts is None else run.prompt[:1]
    tilt = replace(problem.tilt, model=model, reward=seeing, batches=Batches(prompt=first))
    prompt = None if first is None else first.expand(size)
    x = torch.zeros(size, *model.shape, device=meter.device, dtype=problem.noise.dtype, requires_grad=gradient)
    alive, used = [0], [0]
    with torch.set_grad_enabled(gradient), Memory(x) as memory:

        def passed() -> None:
            alive.append(memory.now)
            used.append(nbytes(memory.given.values(), meter.device))

        sample: Tensor = tilt.look_ahead_for(prompt)(x, x.new_zeros(size)).sample
        passed()
        seen = sample if decode is None else decode(sample)
        passed()
        value = for_rows(reward, prompt)(seen)
        passed()
        if gradient:
            torch.autograd.grad(value.sum(), x, allow_unused=True)
        if gradient and run.loop.uses_laplacian:
            tilt.laplacian(x.detach()[None], 0.0, torch.ones_like(x)[None, None])
        sample, seen = sample.detach(), seen.detach()
        del value
        with torch.no_grad():  # when nothing is kept for a gradient any more
            if model.flow.velocity is not None:  # another network than that of the look-ahead, or one with guidance
                for_rows(model, prompt).velocity(x.detach(), x.new_full((size,), model.flow.first_time))
            passed()
            if model.flow.render is not None:  # the final samples, by a larger decoder
                seen = model.flow.render(sample)
            picture = 0 if decode is None and model.flow.render is None else seen.nbytes // size
            if held_out is not None:
                for_rows(replace(held_out, meter=meter), prompt)(seen)
        passed()
    names = ("look-ahead", "decoder", "reward", "velocity", "final samples")
    parts, weights = (
        {name: after - before for name, before, after in zip(names, sums, sums[1:], strict=False)}
        for sums in (alive[:4], used)
    )
    return Measured(parts, weights, in_files(memory.given.values()), picture, memory.most)


def refuse_large(groups: int, particles: int, dimension: int) -> None:
    """ValueError if G groups of N particles do not fit into the memory of this machine, saying what would."""
    each, free = TENSORS * 4 * dimension + NUMBERS * 8, free_memory(torch.device("cpu"))
    if groups * particles * each <= SAFE * free:
        return
    most = int(SAFE * free / (groups * each))
    fits = f"population.particles={most} fits" if most else f"population.groups={int(SAFE * free / each)} fits"
    needs = f"{groups} groups of {particles} particles need {gib(groups * particles * each)}"
    raise ValueError(f"population: {needs}, and {gib(free)} are free; {fits}")


def refuse_long(steps: int) -> None:
    """ValueError if the history of so many steps does not fit into the memory of this machine, saying what would."""
    free = free_memory(torch.device("cpu"))
    if steps * ROW > SAFE * free:
        line = f"sampler.steps={steps}: the history needs {gib(steps * ROW)}, and {gib(free)} are free"
        raise ValueError(f"{line}; sampler.steps={int(SAFE * free / ROW)} fits")


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or on this machine."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what trials have left in torch's own store is free, too
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def largest_batch(needs: Estimate, size: int, typed: bool, free: int, less: str = "") -> int:
    """The size of the batches of a run: ``size``, or less if that does not fit into ``free`` bytes.

    ``less`` is what is said of settings that need less, where one sample does not fit.

    Raises:
        ValueError: if a single sample does not fit, or ``size`` does not and was ``typed`` by the user.
    """
    most = needs.fits(SAFE * free)
    if most == 0:
        raise ValueError(f"memory: {shares(needs, free)}{less}")
    if typed and size > most:
        raise ValueError(
            f"population.chunk={size}: needs {gib(needs.batch(size))}, and {gib(free)} are free;"
            f" population.chunk={most} fits"
        )
    return min(size, most)


def gib(count: float) -> str:
    """Such as ``1.5 GiB``."""
    return f"{count / 2**30:.3g} GiB"
