"""Look-aheads ``L_t(x)``: where will the trajectory that is at x at time t land at t = 1?

The reward is asked at this point. A look-ahead is *transported* if it is constant along the base ODE,
``d_t L_t + (grad L_t) b_t = 0``, which holds for the model's flow map and nothing else (arXiv 2511.22688); only then
are the short weights ``beta'(t) r(L_t(x)) dt`` right. At t = 1 every look-ahead is the identity and is not called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.interpolant import denoiser_from_velocity, expand
from fmtt.flow.ode import runge_kutta
from fmtt.flow.protocols import Velocity, as_flow, refuse_data_only, require_flow_map, require_velocity

MOST_STEPS = 1000  # of a look-ahead; each is an evaluation for every particle in every step
JUMPS = "the look-ahead flowmap1, flowmap2 or flowmap4"


class Landing(NamedTuple):
    """What a look-ahead found: the estimated sample, ``(B, *D)``, and ``b_t(x)`` if it was computed on the way."""

    sample: Tensor
    velocity: Tensor | None


class LookAhead(Protocol):
    """A look-ahead; differentiable in x and t, also by forward-mode AD.

    Attributes:
        transported: whether it is constant along the base ODE, up to the error of a learned flow map.
        exact: whether it is so without such an error.
        generates: whether it makes samples of noise.
    """

    @property
    def transported(self) -> bool: ...

    @property
    def exact(self) -> bool: ...

    @property
    def generates(self) -> bool: ...

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        """The landing of ``x (B, *D)`` from times ``t (B,)``."""
        ...


class NoLookAhead:
    """``L_t(x) = x``: the reward is asked about the noisy point. The model is not used."""

    transported = exact = generates = False

    def __init__(self, model: Velocity):
        pass

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        return Landing(x, None)


class Denoiser:
    """``L_t(x) = E[x_1 | x_t = x] = x + (1 - t) b_t(x)``: free, since the step needs b too, but blurry at small t."""

    transported = exact = generates = False

    def __init__(self, model: Velocity):
        self.model = require_velocity(model, "lookahead=denoiser", JUMPS)

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        velocity = self.model.velocity(x, t)
        return Landing(denoiser_from_velocity(velocity, x, t), velocity)


class OdeSteps:
    """``steps`` Euler steps of the probability-flow ODE from t to 1."""

    transported, exact, generates = False, False, True

    def __init__(self, model: Velocity, steps: int):
        self.model = require_velocity(model, "lookahead=diffusion4", JUMPS)
        self.steps = whole_number("lookahead.steps", steps, 1, MOST_STEPS)

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        width = (1 - t) / self.steps
        first = velocity = self.model.velocity(x, t)
        x = x + expand(width, x) * velocity
        for k in range(1, self.steps):
            x = x + expand(width, x) * self.model.velocity(x, t + k * width)
        return Landing(x, first)


class FlowMapJumps:
    """``steps`` equal jumps of the model's flow map, t -> ... -> 1; the look-ahead of FMTT.

    Raises:
        ValueError: if the model has no flow map, or one to the data only and ``steps`` is above 1.
    """

    transported = generates = True

    def __init__(self, model: Velocity, steps: int):
        self.model = require_flow_map(model, "the look-ahead", "the look-ahead none, denoiser, diffusion4 or exact")
        self.steps = whole_number("lookahead.steps", steps, 1, MOST_STEPS)
        if steps > 1:
            refuse_data_only(model, f"lookahead.steps={steps}", "lookahead=flowmap1")

    @property
    def exact(self) -> bool:
        return as_flow(self.model).exact_flow_map

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        width = (1 - t) / self.steps
        for k in range(self.steps):
            start = t + k * width if k else t
            end = start + width if k + 1 < self.steps else torch.ones_like(t)
            x = self.model.flow_map(x, start, end)
        return Landing(x, None)


class Exact:
    """The flow map of the model's velocity, solved by ``steps`` Runge-Kutta steps of order four from t to 1.

    Costs ``4 steps`` evaluations. It is transported up to the error of the solver, whatever flow map the model has.
    """

    transported = exact = generates = True

    def __init__(self, model: Velocity, steps: int):
        self.model = require_velocity(model, "lookahead=exact", JUMPS)
        self.steps = whole_number("lookahead.steps", steps, 1, MOST_STEPS)

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        return Landing(*runge_kutta(self.model.velocity, x, t, torch.ones_like(t), self.steps))


class WithoutJacobian:
    """The ``inner`` look-ahead, whose gradient is taken as if it were a shift: ``grad r(L_t(x))`` for the reward's own.

    It spares the backward pass through the network (FMRG-E of arXiv 2604.27147).
    """

    def __init__(self, inner: LookAhead):
        self.inner, self.transported, self.generates = inner, inner.transported, inner.generates
        self.exact = inner.exact

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        with torch.no_grad():
            landing = self.inner(x, t)
        return landing._replace(sample=x + (landing.sample - x).detach())


@dataclass(frozen=True)
class FromLater:
    """A look-ahead as a generator: noise z lands from where trajectories begin (:func:`begun`). Asked at t = 0 alone.

    Attributes:
        look_ahead: where it lands from there.
        t0: the time at which trajectories begin.
        image: the picture that is edited, ``(*D)``, or None.
    """

    look_ahead: LookAhead
    t0: float
    image: Tensor | None

    transported, exact = False, False

    @property
    def generates(self) -> bool:
        return self.look_ahead.generates

    def __call__(self, x: Tensor, t: Tensor) -> Landing:
        start = begun(x, self.t0, self.image)
        return Landing(self.look_ahead(start, torch.full_like(t, self.t0)).sample, None)


def begun(z: Tensor, t0: float, image: Tensor | None) -> Tensor:
    """Where trajectories begin at time ``t0``: ``(1 - t0) z``, plus ``t0 image (*D)`` if there is one."""
    x = (1 - t0) * z if t0 > 0 else z
    return x if image is None else t0 * image + x
