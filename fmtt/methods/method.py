"""A method: an object made from its settings alone. It gets the problem when it runs."""

from __future__ import annotations

from typing import Protocol

from fmtt.methods.loop import Loop
from fmtt.methods.problem import Problem
from fmtt.methods.role import MAXIMISE


class Method(Protocol):
    """The interface of methods.

    Attributes:
        role: what it is made for, ``maximise`` or ``sample`` (:mod:`fmtt.methods.role`).
        weighted: whether its weights make the particles a sample of the tilted law.
        multinomial: whether it resamples by independent draws. Then even equal weights give different numbers of
            offspring.
        block: the number of particles must be a multiple of this.
        min_particles: the fewest particles that it works with.
        unused: settings of the command line without effect, such as ``sampler.chi``. If the user gives one of them,
            the command line warns.
        unused_without_gradient: those without effect if the reward is not differentiable, beside ``unused``.
        through_time: whether particles move through time, so that noise can be prepared for them, and steps placed.
        forgets: whether its moves make particles forget their ancestors, so that genealogies say nothing of errors.
        plans_length: whether it chooses the number of steps itself, so that a budget may pay for more than were asked.
    """

    @property
    def role(self) -> str: ...

    @property
    def weighted(self) -> bool: ...

    @property
    def unused(self) -> frozenset[str]: ...

    @property
    def unused_without_gradient(self) -> frozenset[str]: ...

    @property
    def through_time(self) -> bool: ...

    @property
    def forgets(self) -> bool: ...

    @property
    def plans_length(self) -> bool: ...

    @property
    def multinomial(self) -> bool: ...

    @property
    def block(self) -> int: ...

    @property
    def min_particles(self) -> int: ...

    def loop(self, problem: Problem) -> Loop:
        """The method on ``problem``, ready to run.

        Raises:
            ValueError: if the method cannot be used on the problem.
        """
        ...


# settings of the trajectory through time; methods without a trajectory do not use them
OF_TRAJECTORIES = frozenset(f"sampler.{name}" for name in ("epsilon", "chi", "damping", "beta", "transport", "probes"))
OF_THE_SCALE = frozenset({"reward.scale", "scale_factor"})
NO_TRAJECTORY = OF_TRAJECTORIES | {"sampler.grid"}


class Maximiser:
    """Base class of methods that look for a maximum: no weights, any number of particles."""

    role = MAXIMISE
    weighted = multinomial = through_time = forgets = plans_length = False
    block = min_particles = 1
    unused: frozenset[str] = NO_TRAJECTORY
    unused_without_gradient: frozenset[str] = frozenset()
