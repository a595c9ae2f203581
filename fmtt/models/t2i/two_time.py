"""The common part of text-to-image networks with two times.

They predict ``u(x, sigma, rho)``, the average of ``dx / d sigma`` on the way from the noise level sigma to rho; 1 is
noise and 0 is data. With ``t = 1 - sigma``, ``X_{s,t}(x) = x - (t - s) u(x, 1 - s, 1 - t)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fmtt.flow.interpolant import expand


def absolute(sigma: Tensor, rho: Tensor) -> Tensor:
    """The second time is the noise level itself."""
    return rho


def difference(sigma: Tensor, rho: Tensor) -> Tensor:
    """The second time is how far the step goes."""
    return sigma - rho


@dataclass(frozen=True)
class Times:
    """How a network wants to be told its times.

    Attributes:
        unit: what a noise level of 1 is for the network, 1 or 1000.
        second: from both noise levels to the second time, before the unit.
        sign: 1 if the network returns u, -1 if it returns the velocity toward the data.
        data_only: whether the network was trained for steps to the data alone, rho = 0.
        diagonal: whether u(x, sigma, sigma) is the velocity; None: nobody has published it.
    """

    unit: float = 1.0
    second: Callable[[Tensor, Tensor], Tensor] = absolute
    sign: float = 1.0
    data_only: bool = False
    diagonal: bool | None = True


UNKNOWN = (
    "nobody has published whether the diagonal of this flow map is the velocity that the map follows;"
    " scripts/check_velocity.py measures it"
)


class TwoTime(ABC):
    """Velocity and flow map of a network with two times.

    The velocity is the diagonal of the flow map. A model whose diagonal is none must have a velocity of its own.
    """

    times: ClassVar[Times] = Times()

    def __init_subclass__(cls) -> None:
        if cls.times.diagonal is False and cls.velocity is TwoTime.velocity:
            raise TypeError(f"{cls.__name__}: its diagonal is no velocity, so it needs a velocity of its own")

    @property
    def data_only(self) -> bool:
        """Whether the flow map knows no other end than the data."""
        return self.times.data_only

    @property
    def caution(self) -> str | None:
        """What to know before results are believed; None: nothing."""
        return UNKNOWN if self.times.diagonal is None else None

    @abstractmethod
    def network(self, x: Tensor, first: Tensor, second: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """What the network returns for latents ``x (B, *D)``, its two times ``(B,)`` and the rows of the prompts."""

    def average(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """The average velocity from s to t, ``(X_{s,t}(x) - x) / (t - s)``."""
        sigma, rho = 1 - s, 1 - t
        first, second = self.times.unit * sigma, self.times.unit * self.times.second(sigma, rho)
        return -self.times.sign * self.network(x, first, second, condition)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return x + expand(t - s, x) * self.average(x, s, t, condition)

    def velocity(self, x: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return self.average(x, t, t, condition)
