"""What a population looked like on its way, kept for the page of its run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fmtt.methods.loop import State
from fmtt.run_folder import write_film
from fmtt.smc.population import Population

FRAMES = 24  # at most, beside the first
SHOWN, NUMBERS = 16, 512  # particles of a frame, of all groups together, so that the page stays small; of points more


class Film:
    """Frames of a run at equal distances in steps, the first and the last among them.

    On an accelerator each frame waits for the device.

    Args:
        steps: of the run.
        decode: positions ``(g, n, *D)`` to what people see of them.
        frames: those that are known; new ones are put behind them.
    """

    def __init__(self, steps: int, decode: Callable[[Tensor], Tensor], frames: list[dict[str, Tensor]]):
        self.decode, self.frames = decode, frames
        count = min(steps, FRAMES)
        self.due = {round(number * steps / count) for number in range(count + 1)}

    def see(self, state: State) -> None:
        """Keep ``state`` if it is time for a frame."""
        if state.step in self.due:
            same = replace(state, population=self.of_the_first_size(state.population))
            self.frames.append(frame(same, self.decode))

    def of_the_first_size(self, population: Population) -> Population:
        """``population``, filled up with copies if a group has become smaller: all frames have one shape."""
        size = self.frames[0]["ancestors"].shape[1] if self.frames else population.x.shape[1]
        groups, left = population.x.shape[:2]
        if left == size:
            return population
        return population.take((torch.arange(size, device=population.x.device) % left).expand(groups, size))

    def write(self, folder: Path) -> None:
        """Write the frames into a run folder; nothing if there are none."""
        if self.frames:
            names = self.frames[0].keys()
            write_film(folder, {name: torch.stack([shot[name] for shot in self.frames]).numpy() for name in names})


def frame(state: State, decode: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """What is kept of a state with G groups of N particles, of which g groups and n particles of each are shown.

    ``t ()``; ``x (g, n, *D)``, the positions, and ``landing (g, n, *D)``, where the look-ahead sees them land, NaN
    where it was not called, both decoded and in half precision; ``ancestors (G, N)`` at t = 0 and
    ``log_weights (G, N)``.
    """
    population = state.population
    groups, particles = population.ancestors.shape
    limit = max(SHOWN, NUMBERS // math.prod(population.x.shape[2:]))
    g = min(groups, limit)
    n = min(particles, max(1, limit // g))
    x, landing = population.x[:g, :n], population.tilt.sample
    x = decode(x)
    seen = torch.full_like(x, torch.nan) if landing is None else decode(landing[:g, :n])
    return {
        "t": torch.tensor(state.t, dtype=torch.float64),
        "x": x.half().cpu().contiguous(),
        "landing": seen.half().cpu().contiguous(),
        "ancestors": population.ancestors.to(torch.int32).cpu().contiguous(),
        "log_weights": population.log_weights.cpu().contiguous(),
    }
