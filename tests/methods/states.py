"""Comparing the states of two runs."""

import torch
from torch import Tensor

from fmtt.methods.loop import State


def parts(state: State) -> dict[str, Tensor]:
    """Every tensor of a state."""
    p = state.population
    found = {key: value for record in (state, p) for key, value in vars(record).items() if isinstance(value, Tensor)}
    return found | {f"tilt.{key}": value for key, value in p.tilt._asdict().items() if value is not None}


def differing(one: State, other: State, exactly: bool, group: int | None = None) -> list[str]:
    """The names of the tensors that are not the same in both, those of one ``group`` of the first if it is given."""
    first, second = parts(one), parts(other)
    assert first.keys() == second.keys()
    assert len(first) >= 11
    rtol, atol = (0.0, 0.0) if exactly else (1e-4, 1e-5)
    rows = slice(None) if group is None else slice(group, group + 1)
    return [
        name
        for name, values in first.items()
        if not torch.allclose(second[name].double(), values[rows].double(), rtol, atol, equal_nan=True)
    ]
