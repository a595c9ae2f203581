"""What a run leaves: samples, weights, rewards and log Z of every group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from fmtt.flow.batches import joined
from fmtt.flow.meter import Meter
from fmtt.smc.diagnostics import log_mean_and_error, weighted_mean


@dataclass(frozen=True)
class Result:
    """What a run leaves.

    Attributes:
        samples: ``(G, N, *D)``.
        decoded: what people see of them, such as pictures ``(G, N, C, H, W)``; ``samples`` itself for a
            model without a decoder.
        log_weights: ``(G, N)`` in float64; all zero if the last step resampled or the method has no weights.
        rewards: ``r(samples)`` without the scale, ``(G, N)`` in float64.
        selected: the index of the particle that stands for each group, ``(G,)``.
        log_z: the estimate of ``log E[exp(scale r)]`` of each group, ``(G,)``.
        ess: final effective sample size as a fraction of N, ``(G,)``.
        ancestors: index of the particle at t = 0 from which each descends, ``(G, N)``.
        prompt: the number of the prompt of each group, ``(G,)``; 0 where there are no conditions.
        prompts: how many prompts there are, or None where there are no conditions.
        meter: the calls that it took.
    """

    samples: Tensor
    decoded: Tensor
    log_weights: Tensor
    rewards: Tensor
    selected: Tensor
    log_z: Tensor
    ess: Tensor
    ancestors: Tensor
    prompt: Tensor
    prompts: int | None
    meter: Meter

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over particles of ``values (G, N, *E)``; ``(G, *E)``: estimates under the tilted law."""
        return weighted_mean(values, self.log_weights)

    @property
    def log_z_and_error(self) -> tuple[float, float] | list[tuple[float, float]]:
        """Log Z over all groups and its standard error; with conditions a list of such pairs, one for each prompt."""
        if self.prompts is None:
            return log_mean_and_error(self.log_z)
        return [log_mean_and_error(self.log_z[self.prompt == number]) for number in range(self.prompts)]

    def groups(self, which: Tensor) -> Result:
        """The result of the groups ``which (G,)`` alone."""
        kept: dict[str, Any] = {name: value[which] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **kept)

    @staticmethod
    def joined(parts: Sequence[Result]) -> Result:
        """The result of several parts of the groups, in their order, and the sum of their calls."""
        names = [name for name, value in vars(parts[0]).items() if isinstance(value, Tensor)]
        both: dict[str, Any] = {name: joined([vars(part)[name] for part in parts]) for name in names}
        return replace(parts[0], **both, meter=Meter.joined([part.meter for part in parts]))
