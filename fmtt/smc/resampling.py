"""Resamplers: normalised weights and uniform numbers to the indices of the offspring, batched over groups.

Each is a function ``(weights, u, m) -> index``: ``weights (G, N)`` in float64 that sum to one over particles,
independent uniforms ``u (G, U)`` in [0, 1), of which :func:`uniforms` says how many, and ``index (G, m)``. The mean
number of offspring of particle n is ``m weights[n]``, and a particle of weight zero is never chosen, whatever the
rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Resampler = Callable[[Tensor, Tensor, int], Tensor]


def multinomial(weights: Tensor, u: Tensor, m: int) -> Tensor:
    """m independent draws."""
    return inverse_cdf(weights, u[:, :m])


def stratified(weights: Tensor, u: Tensor, m: int) -> Tensor:
    """One draw in each of m equal strata of [0, 1)."""
    cdf = cumulated(weights)
    place = m * cdf / cdf[:, -1:]
    whole = place.floor()
    below = whole + (u.gather(1, whole.long().clamp_max(m - 1)) < place - whole)  # points below the end of a particle
    return edges_to_index(torch.where(cdf == cdf[:, -1:], m, below).long(), m)


def systematic(weights: Tensor, u: Tensor, m: int) -> Tensor:
    """The m points ``(i + u) / m`` with one common u for each group."""
    cdf = cumulated(weights)
    below = (m * cdf / cdf[:, -1:] - u[:, :1]).ceil()  # points below the end of a particle
    return edges_to_index(torch.where(cdf == cdf[:, -1:], m, below).long(), m)


def residual(weights: Tensor, u: Tensor, m: int) -> Tensor:
    """``floor(m w)`` certain offspring each, and independent draws from what is left."""
    certain = (m * weights + 1e-9).floor()  # a whole number that rounding left just below itself is certain, too
    rest = (m * weights - certain).clamp_min(0.0)
    slots = torch.arange(m, device=u.device)
    fixed = offspring_to_index(certain, m)
    total = rest.sum(1, keepdim=True)
    drawn = inverse_cdf(torch.where(total > 0, rest / total.clamp_min(1e-300), weights), u[:, :m])
    return torch.where(slots < certain.sum(1, keepdim=True), fixed, drawn)


def ssp(weights: Tensor, u: Tensor, m: int) -> Tensor:
    """Srinivasan sampling process (Gerber, Chopin and Whiteley 2019): every offspring number is floor or ceil of m w.

    Fractional parts are settled in pairs, one of each pair to 0 or 1; the pairs here are those of a knockout
    tournament, so that log2 N batched rounds replace a loop over particles.
    """
    counts = (m * weights).floor()
    fraction = m * weights - counts
    groups, n = weights.shape
    player = torch.arange(n, device=weights.device).expand(groups, n)
    used = 0
    while player.shape[1] > 1:
        if player.shape[1] % 2:  # the odd one out meets a player who holds nothing
            player = torch.cat([player, player[:, -1:]], dim=1)
            fraction = torch.cat([fraction, torch.zeros_like(fraction[:, :1])], dim=1)
        a, b, pa, pb = fraction[:, ::2], fraction[:, 1::2], player[:, ::2], player[:, 1::2]
        total = a + b
        draw = u[:, used : used + a.shape[1]]
        used += a.shape[1]
        over = total >= 1
        # Below one, the winner takes the sum. From one on, the winner is rounded up and the loser keeps the excess.
        first_wins = torch.where(over, draw * (2 - total) < 1 - b, draw * total < a)
        winner = torch.where(first_wins, pa, pb)
        loser = torch.where(first_wins, pb, pa)
        counts = counts.scatter_add(1, winner, over.to(counts.dtype))
        player, fraction = torch.where(over, loser, winner), torch.where(over, total - 1, total)
    counts = counts.scatter_add(1, player, fraction.round())
    return offspring_to_index(counts, m)


RESAMPLERS: dict[str, Resampler] = {
    "systematic": systematic, "stratified": stratified, "residual": residual, "multinomial": multinomial, "ssp": ssp,
}  # fmt: skip


def uniforms(resampler: Resampler, particles: int) -> int:
    """How many uniform numbers each group needs for N offspring of N particles; more change nothing."""
    needed: dict[Resampler, int] = {systematic: 1, stratified: particles, multinomial: particles, residual: particles}
    return needed.get(resampler, 2 * particles)


def cumulated(weights: Tensor) -> Tensor:
    """Cumulative weights. A particle of weight zero takes over that of the one before it, exactly, so that no rounding
    of the sum (which a parallel scan may order differently) can make room for it; ``(G, N)``."""
    return torch.where(weights > 0, weights.cumsum(1), 0).cummax(1).values


def inverse_cdf(weights: Tensor, points: Tensor) -> Tensor:
    """For each point p in [0, 1) the first particle whose cumulative weight exceeds p times the sum; ``(G, M)``."""
    cdf = cumulated(weights)
    below_one = torch.nextafter(torch.ones((), dtype=points.dtype), torch.zeros((), dtype=points.dtype)).to(points)
    return torch.searchsorted(cdf, points.clamp_max(below_one) * cdf[:, -1:], right=True)


def edges_to_index(edges: Tensor, slots: int) -> Tensor:
    """Where the offspring of each particle end, ``(G, N)``, not falling, at most ``slots``, to ``(G, slots)`` indices.

    The index of a slot is the number of particles whose offspring have ended. Counting takes no search.
    """
    ended = edges.new_zeros(edges.shape[0], slots + 1).scatter_add(1, edges, torch.ones_like(edges))
    return ended[:, :slots].cumsum(1)


def offspring_to_index(counts: Tensor, slots: int) -> Tensor:
    """Offspring numbers ``(G, N)`` to ``(G, slots)`` indices, each repeated that often, in order; padded by N - 1."""
    edges = counts.cumsum(1).long().clamp_max(slots)
    return edges_to_index(edges, slots).clamp_max(counts.shape[1] - 1)
