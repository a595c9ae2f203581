"""Diagnostics of a run, summed up over its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.smc.diagnostics import incremental_discrepancy, tail_variance, weighted_mean


@dataclass(frozen=True)
class Totals:
    """Sums over the steps of a run so far, all ``(G,)``.

    Attributes:
        lowest_ess: the smallest effective sample size, as a fraction of N.
        step_discrepancy: incremental discrepancy of the last step; its root is the length of the step.
        discrepancy, length: total discrepancy and thermodynamic length.
        transport_gap: sum of the weighted root mean squares of the contributions of the flow map's error to the
            log-weights; NaN where the weights do not measure it.
        overshoot: sum of the weighted means of the kicks' overshoot; NaN where it does not matter.
        selections: how often the selection acted.
        ignored_gap: sum of the weighted means of what the weights ignore of a learned flow map's error: about the error
            of log Z; NaN where nothing is ignored, or it is not measured.
        tail: sum of the variances that the weights of the steps have if their logarithms have normal upper tails.
    """

    lowest_ess: Tensor
    step_discrepancy: Tensor
    discrepancy: Tensor
    length: Tensor
    transport_gap: Tensor
    overshoot: Tensor
    selections: Tensor
    ignored_gap: Tensor
    tail: Tensor

    @staticmethod
    def start(ess: Tensor) -> Totals:
        """Before the first step, at an effective sample size of ``ess (G,)``."""
        zero = torch.zeros_like(ess)
        return Totals(ess, zero, zero, zero, zero, zero, zero.long(), zero, zero)

    def still(self, ess: Tensor, selected: Tensor) -> Totals:
        """One step later, in which nothing was weighed; arguments as in :meth:`after`."""
        return replace(
            self, lowest_ess=torch.minimum(self.lowest_ess, ess), step_discrepancy=torch.zeros_like(ess),
            selections=self.selections + selected, ignored_gap=torch.full_like(ess, torch.nan),
        )  # fmt: skip

    def after(
        self,
        ess: Tensor,
        selected: Tensor,
        log_weights: Tensor,
        increment: Tensor,
        gap: Tensor | None,
        overshoot: Tensor | None,
        ignored: Tensor | None,
    ) -> Totals:
        """One step later.

        Args:
            ess: effective sample size before the selection, ``(G,)``.
            selected: the groups on which the selection acted, ``(G,)``.
            log_weights, increment: the log-weights before the step and what it added, ``(G, N)``.
            gap, overshoot, ignored: of each particle, ``(G, N)``, or None where they are not known.
        """
        d = incremental_discrepancy(log_weights, increment)

        def mean(values: Tensor | None) -> Tensor:
            return torch.full_like(d, torch.nan) if values is None else weighted_mean(values, log_weights)

        return Totals(
            torch.minimum(self.lowest_ess, ess), d, self.discrepancy + d, self.length + d.sqrt(),
            self.transport_gap + mean(None if gap is None else gap**2).sqrt(), self.overshoot + mean(overshoot),
            self.selections + selected, self.ignored_gap + mean(ignored),
            self.tail + tail_variance(log_weights, increment),
        )  # fmt: skip

    @staticmethod
    def joined(parts: list[Totals]) -> Totals:
        """Those of several parts of the groups, in their order."""
        return Totals(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    def groups(self, which: Tensor) -> Totals:
        """Those of the groups ``which (G,)`` alone."""
        return Totals(**{name: values[which] for name, values in vars(self).items()})
