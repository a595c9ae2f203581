"""Diagnostics of a run, summed up over its steps."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fmtt.smc.diagnostics import incremental_discrepancy, weighted_mean


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
    """

    lowest_ess: Tensor
    step_discrepancy: Tensor
    discrepancy: Tensor
    length: Tensor
    transport_gap: Tensor
    overshoot: Tensor
    selections: Tensor
    ignored_gap: Tensor

    @staticmethod
    def start(ess: Tensor) -> Totals:
        """Before the first step, at an effective sample size of ``ess (G,)``."""
        zero = torch.zeros_like(ess)
        return Totals(ess, zero, zero, zero, zero, zero, zero.long(), zero)

    def after(
        self,
        ess: Tensor,
        selected: Tensor,
        log_weights: Tensor | None,
        increment: Tensor | None,
        gap: Tensor | None,
        overshoot: Tensor | None,
    ) -> Totals:
        """One step later.

        Args:
            ess: effective sample size before the selection, ``(G,)``.
            selected: the groups on which the selection acted, ``(G,)``.
            log_weights, increment: the log-weights before the step and what it added, ``(G, N)``, or None.
            gap, overshoot: of each particle, ``(G, N)``, or None where they are not known.
        """
        d = torch.zeros_like(ess)
        if log_weights is not None and increment is not None:
            d = incremental_discrepancy(log_weights, increment)
        unknown = torch.full_like(d, torch.nan)
        if log_weights is None:
            size = excess = torch.zeros_like(d)
        else:
            size = unknown if gap is None else weighted_mean(gap**2, log_weights).sqrt()
            excess = unknown if overshoot is None else weighted_mean(overshoot, log_weights)
        return Totals(
            torch.minimum(self.lowest_ess, ess), d, self.discrepancy + d, self.length + d.sqrt(),
            self.transport_gap + size, self.overshoot + excess, self.selections + selected, self.ignored_gap,
        )  # fmt: skip

    def ignoring(self, log_weights: Tensor | None, gap: Tensor | None) -> Totals:
        """The same with what the last step ignored of the flow map's error, ``(G, N)``; None if that is not known."""
        unknown = torch.full_like(self.discrepancy, torch.nan)
        ignored = unknown if gap is None or log_weights is None else weighted_mean(gap, log_weights)
        return replace(self, ignored_gap=self.ignored_gap + ignored)

    @staticmethod
    def joined(parts: list[Totals]) -> Totals:
        """Those of several parts of the groups, in their order."""
        names = [entry.name for entry in fields(Totals)]
        return Totals(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
