"""What a step uses. Guidance, weights, selection, transport and field each declare it; the loop joins the records."""

from __future__ import annotations

from typing import NamedTuple


class Needs(NamedTuple):
    """One record of needs; the union of two is ``a | b``.

    Attributes:
        tilt: the tilt at the start of the step.
        gradient: its gradient there.
        rate: its rate there, ``beta(t) scale d_t r(L_t(x))``; comes with the gradient.
        velocity: ``b_t(x)`` at the start.
        copies: standard normal draws of each particle, for samples of the posterior.
        work: the growth of the tilt along the transport.
        gap: the part of the tilt's change that an exact flow map would not have.
        laplacian: ``lap r_t(x)`` at the start.
        change: by how much the value of the path grows.
    """

    tilt: bool = False
    gradient: bool = False
    rate: bool = False
    velocity: bool = False
    copies: int = 0
    work: bool = False
    gap: bool = False
    laplacian: bool = False
    change: bool = False

    def __or__(self, other: Needs) -> Needs:
        if other is NOTHING or other is self:  # most are, in runs of very many steps
            return self
        return Needs(
            self.tilt or other.tilt, self.gradient or other.gradient, self.rate or other.rate,
            self.velocity or other.velocity, max(self.copies, other.copies), self.work or other.work,
            self.gap or other.gap, self.laplacian or other.laplacian, self.change or other.change,
        )  # fmt: skip


NOTHING = Needs()
TILT = Needs(tilt=True)
GRADIENT = Needs(tilt=True, gradient=True)
