"""Whether a run fits into memory, found before it starts: one sample and two are put through all its parts.

Two are not tried where batches have one sample, or where they do not fit.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch
from torch import Tensor

from fmtt.api import Run
from fmtt.flow.batches import Batches
from fmtt.flow.conditions import for_rows
from fmtt.flow.memory import Memory
from fmtt.flow.meter import Meter

LARGE = 2**28  # bytes of a sample, from which on a user is told what a run needs
TENSORS, NUMBERS = 8, 16  # of a particle: position, draws, gradient, velocity, landing, ...; rewards and weights
LESS = (
    "smaller pictures, a look-ahead with fewer steps, a mode without gradients or precision=bf16-true need less;"
    " so do model.checkpointing=true, model.tiny_decoder and offload=true where a model has them"
)
SAFE = 0.9  # of the free memory: what libraries use for the moment is not counted


@dataclass(frozen=True)
class Estimate:
    """Bytes that a batch needs beside the weights.

    Attributes:
        parts: what one sample leaves alive in look-ahead, decoder and reward, for the gradient.
        fixed: needed by a batch of any size.
        sample: needed by each sample.
        most: the largest batch that is possible, if that is known.
    """

    parts: dict[str, int]
    fixed: int
    sample: int
    most: int | None = None

    def batch(self, size: int) -> int:
        """Needed by a batch of ``size`` samples."""
        return self.fixed + size * self.sample

    def fits(self, free: float) -> int:
        """The largest batch that ``free`` bytes hold; 0 if they hold none."""
        found = max(0, int((free - self.fixed) // max(1, self.sample)))
        return found if self.most is None else min(found, self.most)


def estimate(run: Run, gradient: bool, size: int | None = None) -> Estimate:
    """What the batches of a run need, with the gradient of the reward or without.

    ``size`` is that of the largest batch, None if any is possible.

    Raises:
        ValueError: if one sample does not fit, or the run needs a Laplacian that the model does not have.
    """
    try:
        parts, one = measured(run, 1, gradient)
    except torch.OutOfMemoryError as error:
        free = free_memory(run.meter.device)
        raise ValueError(
            f"memory: one sample does not fit beside the weights, and {gib(free)} are free; {LESS}"
        ) from error
    if size == 1:
        return Estimate(parts, 0, one, most=1)
    try:
        two = measured(run, 2, gradient)[1]
    except torch.OutOfMemoryError:
        return Estimate(parts, 0, one, most=1)
    return Estimate(parts, max(0, 2 * one - two), max(0, two - one))


def make_room(run: Run, typed: int | None) -> None:
    """Cut batches so that they fit into memory, and say on stderr what large samples need.

    Raises:
        ValueError: if a single sample does not fit, or the ``typed`` size of a batch does not.
    """
    batches, rows, device = run.problem.tilt.batches, len(run.prompt) * run.problem.particles, run.meter.device
    size, free = min(rows, batches.chunk or rows), free_memory(run.meter.device)
    needs = estimate(run, run.loop.uses_gradient, size)
    most = largest_batch(needs, size, typed is not None, free, device)
    if most < size:
        batches.room.most = most
    if needs.batch(1) > LARGE:
        print(
            f"fmtt: note: batches of {most} samples need {gib(needs.batch(most))}; {shares(needs, device, free)}",
            file=sys.stderr,
        )


def shares(needs: Estimate, device: torch.device, free: float) -> str:
    """What one sample needs for each part, what weights take on a GPU, and what is free."""
    parts = ", ".join(f"{name} {gib(count)}" for name, count in needs.parts.items())
    weights = f"weights take {gib(torch.cuda.memory_allocated(device))}, and " if device.type == "cuda" else ""
    return f"one sample needs {gib(needs.batch(1))} ({parts}); {weights}{gib(free)} are free"


def measured(run: Run, size: int, gradient: bool) -> tuple[dict[str, int], int]:
    """What ``size`` samples leave alive in each part, and the most that they need at one time, in bytes."""
    problem, meter = run.problem, Meter(run.meter.device)
    seeing: Any = replace(problem.tilt.reward, meter=meter)  # type: ignore[type-var]
    reward = replace(seeing, decode=None)
    model = replace(problem.model, meter=meter)
    decode, first = problem.model.flow.decode, None if run.prompts is None else run.prompt[:1]
    tilt = replace(problem.tilt, model=model, reward=seeing, batches=Batches(prompt=first))
    prompt = None if first is None else first.expand(size)
    x = torch.zeros(size, *model.shape, device=meter.device, dtype=problem.noise.dtype, requires_grad=gradient)
    alive = []
    with torch.set_grad_enabled(gradient), Memory() as memory:
        sample: Tensor = tilt.look_ahead_for(prompt)(x, x.new_zeros(size)).sample
        alive.append(memory.now)
        seen = sample if decode is None else decode(sample)
        alive.append(memory.now)
        value = for_rows(reward, prompt)(seen)
        alive.append(memory.now)
        if gradient:
            torch.autograd.grad(value.sum(), x, allow_unused=True)
        if gradient and run.loop.uses_laplacian:
            tilt.laplacian(x.detach()[None], 0.0, torch.ones_like(x)[None, None])
    look_ahead, decoder, all_of_it = alive
    return {"look-ahead": look_ahead, "decoder": decoder - look_ahead, "reward": all_of_it - decoder}, memory.most


def refuse_large(groups: int, particles: int, dimension: int) -> None:
    """ValueError if G groups of N particles do not fit into the memory of this machine, saying what would."""
    each, free = TENSORS * 4 * dimension + NUMBERS * 8, free_memory(torch.device("cpu"))
    if groups * particles * each <= SAFE * free:
        return
    most = int(SAFE * free / (groups * each))
    fits = f"population.particles={most} fits" if most else f"population.groups={int(SAFE * free / each)} fits"
    needs = f"{groups} groups of {particles} particles need {gib(groups * particles * each)}"
    raise ValueError(f"population: {needs}, and {gib(free)} are free; {fits}")


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or on this machine."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what trials have left in torch's own store is free, too
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def heavy(device: torch.device) -> str:
    """What a user is told whose device does not hold the weights of a model."""
    return (
        f"memory: the weights of the model do not fit, and {gib(free_memory(device))} are free on {device}; "
        "precision=bf16-true takes half of the memory of 32-true, offload=true keeps them on the CPU"
    )


def largest_batch(needs: Estimate, size: int, typed: bool, free: int, device: torch.device) -> int:
    """The size of the batches of a run: ``size``, or less if that does not fit into ``free`` bytes.

    Raises:
        ValueError: if a single sample does not fit, or ``size`` does not and was ``typed`` by the user.
    """
    most = needs.fits(SAFE * free)
    if most == 0:
        raise ValueError(f"memory: {shares(needs, device, free)}; {LESS}")
    if typed and size > most:
        raise ValueError(
            f"population.chunk={size}: needs {gib(needs.batch(size))}, and {gib(free)} are free;"
            f" population.chunk={most} fits"
        )
    return min(size, most)


def gib(count: float) -> str:
    """Such as ``1.5 GiB``."""
    return f"{count / 2**30:.3g} GiB"
