"""Whether the flow map of a model follows its velocity: where jumps and the ODE land from the same places."""

from __future__ import annotations

from typing import NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fmtt.api import Run
from fmtt.checks import whole_number
from fmtt.flow.precision import mixed
from fmtt.run.build import build
from fmtt.tilt.look_ahead import Exact, FlowMapJumps


class Gaps(NamedTuple):
    """Distances between landings at t = 1 from the same places, as shares of the way of one jump.

    Attributes:
        ode: from one jump to the ODE of the velocity: small if the map follows the velocity.
        jumps: from one jump to two: how well the map agrees with itself.
        solver: from the ODE with as many steps as asked for to that with half as many.
    """

    ode: float
    jumps: float
    solver: float


@torch.no_grad()
def gaps(run: Run, rows: int, start: float, steps: int) -> Gaps:
    """The gaps from the time ``start``, at the places to which jumps bring ``rows`` draws of noise.

    Raises:
        ValueError: if the model has no velocity, or no flow map to times before the data.
    """
    prompt = torch.arange(rows, device=run.meter.device) % (run.prompts or 1)
    model = run.problem.model.told(prompt)  # type: ignore[attr-defined]
    one, two, fine, coarse = (
        FlowMapJumps(model, 1),
        FlowMapJumps(model, 2),
        Exact(model, steps),
        Exact(model, steps // 2),
    )
    place = run.problem.noise.normal((rows, *model.shape), 0, "velocity check")[0]
    t = place.new_full((rows,), start)
    if start > 0:
        place = model.flow_map(place, 0 * t, t)
    landing, ode = one(place, t).sample, fine(place, t).sample
    way = (landing - place).norm()

    def share(one: Tensor, other: Tensor) -> float:
        return ((one - other).norm() / way).item()

    return Gaps(share(ode, landing), share(two(place, t).sample, landing), share(ode, coarse(place, t).sample))


def gaps_of(config: DictConfig) -> dict[float, Gaps]:
    """:func:`gaps` from each of the times of ``config``, one of ``configs/check_velocity.yaml``."""
    OmegaConf.set_struct(config, False)
    check = config.pop("check")
    rows, steps = whole_number("check.rows", check.rows, 1), whole_number("check.steps", check.steps, 2)
    run = build(config).run
    with mixed(config.precision, run.meter.device):
        return {start: gaps(run, rows, start, steps) for start in check.starts}
