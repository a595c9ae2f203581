"""One step of the time grid."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """A step from t to t_next.

    Attributes:
        t, t_next: its ends.
        epsilon, chi: strengths of the noise and of the extra drift, both taken at the end of the step.
        strength, strength_next: ``beta scale`` at its ends.
        guided: whether guidance acts in it.
    """

    t: float
    t_next: float
    epsilon: float
    chi: float
    strength: float
    strength_next: float
    guided: bool

    @property
    def driven(self) -> bool:
        """Whether the extra drift acts."""
        return self.guided and self.chi > 0

    @property
    def dt(self) -> float:
        return self.t_next - self.t

    @property
    def rise(self) -> float:
        """By how much ``beta scale`` grows."""
        return self.strength_next - self.strength
