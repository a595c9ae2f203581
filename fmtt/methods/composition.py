"""Methods that move particles through time, as compositions of guidance, weights and selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fmtt.flow.protocols import Velocity
from fmtt.methods.method import OF_THE_SCALE
from fmtt.methods.problem import Problem
from fmtt.methods.role import SAMPLE
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.potentials import Difference, Potential
from fmtt.smc.selection import Selection
from fmtt.smc.tempering import Tempering
from fmtt.step.dynamics import Dynamics
from fmtt.step.field import Field
from fmtt.step.guidance import Guidance, Window
from fmtt.step.weights import NoWeights, WeightRule
from fmtt.tilt.look_ahead import LookAhead

ChangeLookAhead = Callable[[LookAhead], LookAhead]


@dataclass(frozen=True)
class Composition:
    """A method that moves particles through time.

    Attributes:
        guidance: the term that is added to the drift, or None.
        weights: the increments of the log-weights.
        selection: the selection between steps, such as resampling.
        role: what the method is made for, ``maximise`` or ``sample``.
        window: the steps in which guidance acts.
        field: a velocity that replaces that of the model, or None.
        potential: the potential of the intermediate weights.
        tempering: the rule for the share of the tilt that is in force, or None for the whole tilt.
        change_look_ahead: a function from the configured look-ahead to the one that is used, or None.
        parts_clones: whether the method makes clones that differ only by later noise; it then refuses zero noise.
    """

    guidance: Guidance | None
    weights: WeightRule
    selection: Selection
    role: str = SAMPLE
    window: Window = Window()
    field: Field | None = None
    potential: Potential = Difference()
    tempering: Tempering | None = None
    change_look_ahead: ChangeLookAhead | None = None
    parts_clones: bool = False
    through_time, forgets, plans_length = True, False, False
    unused_without_gradient = frozenset[str]()

    @property
    def weighted(self) -> bool:
        return self.weights.weighted

    @property
    def multinomial(self) -> bool:
        return self.selection.multinomial

    @property
    def block(self) -> int:
        return self.selection.block

    @property
    def min_particles(self) -> int:
        return self.selection.min_particles

    @property
    def unused(self) -> frozenset[str]:
        """Settings without effect. A maximiser that only ranks particles uses only the sign of the scale."""
        tilted = self.weighted or self.selection.draws_by_value
        watched = self.selection.acts or self.weights.invariant  # the reward is asked for on the way
        driven = self.guidance is not None and self.guidance.needs.gradient
        passive = {
            "sampler.chi": self.guidance is None,
            "sampler.damping": self.guidance is None,
            "sampler.beta": not ((tilted and watched) or driven),
            "lookahead": self.guidance is None and self.field is None and not watched,
        }
        ranks_alone = not tilted and self.guidance is None and self.field is None
        scale = OF_THE_SCALE if ranks_alone else frozenset()
        return scale | {name for name, without_effect in passive.items() if without_effect}

    def loop(self, problem: Problem) -> Trajectory:
        if problem.particles % self.block:
            raise ValueError(
                f"population.particles={problem.particles}: must be a multiple of mode.duplicates={self.block}"
            )
        if problem.particles < self.min_particles:
            raise ValueError(
                f"population.particles={problem.particles}: must be at least {self.min_particles}, or nothing is"
                " selected (mode.keep, mode.warmup)"
            )
        tilt, transport = problem.tilt, problem.transport(problem.model)
        if self.weighted and not transport.faithful:
            raise ValueError(
                "sampler.transport=landing: does not follow the model, so that no weights are right with it"
            )
        if self.change_look_ahead is not None:
            tilt = replace(tilt, make_look_ahead=_changed(tilt.make_look_ahead, self.change_look_ahead))
        still = problem.epsilon.vanishes
        if self.parts_clones and still and not transport.stochastic:
            raise ValueError("sampler.epsilon: the clones of this mode would stay together without noise; use linear")
        guidance = None if self.guidance is None else problem.damping.applied(self.guidance)
        dynamics = Dynamics(
            problem.model, tilt, problem.epsilon, guidance, NoWeights(), transport, self.field, problem.chi,
            self.window.late(problem.times[0]), problem.probes,
        )  # fmt: skip
        moves, late = dynamics.moves(dynamics.interval(*problem.times[-2:])), problem.times[0] > 0
        if late and self.weights.invariant and not (still and problem.chi.vanishes):
            raise ValueError(
                "mode.weights: noise keeps the law of the model, and trajectories that begin at"
                f" t = {problem.times[0]:.3g} have another; use mode.weights=kernel, or sampler/epsilon=zero"
            )
        weights = self.weights.fitted(moves._replace(invariant=moves.invariant and not late))
        return Trajectory(
            replace(dynamics, weights=weights), self.selection, problem.times, problem.particles, problem.noise,
            self.potential, self.tempering, problem.opening, problem.image,
        )  # fmt: skip


def _changed(look_ahead: Callable[[Velocity], LookAhead], change: ChangeLookAhead) -> Callable[[Velocity], LookAhead]:
    return lambda model: change(look_ahead(model))
