"""The way of a run with its diagnostics, and what differs between two places on such ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fmtt.methods.loop import Info, Loop, State, totals
from fmtt.smc.totals import Totals


class Reached(NamedTuple):
    """A state, what the step to it did, and the diagnostics of the run up to it."""

    state: State
    info: Info
    totals: Totals


def way(loop: Loop, begun: Reached | None = None) -> list[Reached]:
    """Every state of a run; or ``begun`` and what follows it."""
    reached = [] if begun is None else [begun]
    summed = None if begun is None else begun.totals
    for state, info in loop.run(None if begun is None else begun.state):
        summed = totals(info, summed)
        reached.append(Reached(state, info, summed))
    return reached


def states(loop: Loop) -> list[State]:
    """The states of a run."""
    return [state for state, _ in loop.run()]


def end_of(loop: Loop) -> Reached:
    """The end of a run."""
    return way(loop)[-1]


def tensors(name: str, entries: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors among the entries of a record."""
    return {f"{name}.{key}": value for key, value in entries.items() if isinstance(value, Tensor)}


def parts(reached: Reached) -> dict[str, Tensor]:
    """Every tensor of a state and of its diagnostics."""
    population = reached.state.population
    return {
        **tensors("state", vars(reached.state)),
        **tensors("population", vars(population)),
        **tensors("tilt", population.tilt._asdict()),
        **tensors("path", population.path._asdict()),
        **tensors("info", vars(reached.info) | {"ess": reached.info.ess}),
        **tensors("weighed", vars(reached.info.weighed)),
        **tensors("numbers", reached.info.numbers),
        **tensors("totals", vars(reached.totals)),
    }


def differing(one: Reached, other: Reached, exactly: bool, group: int | None = None) -> list[str]:
    """The names of the tensors that are not the same in both, those of one ``group`` of the first if it is given."""
    first, second = parts(one), parts(other)
    assert first.keys() == second.keys()
    assert len(first) >= 25
    rtol, atol = (0.0, 0.0) if exactly else (1e-4, 1e-5)
    rows = slice(None) if group is None else slice(group, group + 1)
    return [
        name
        for name, values in first.items()
        if not torch.allclose(second[name].double(), values[rows].double(), rtol, atol, equal_nan=True)
    ]
