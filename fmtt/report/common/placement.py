"""The particles that a picture shows, and their places: pure functions of arrays."""

from __future__ import annotations

import numpy as np

from fmtt.run_folder import Array


def normalised_weights(log_weights: Array) -> Array:
    """Weights that sum to one in each group; ``(G, N)``."""
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def drawn_by_weight(log_weights: Array) -> Array:
    """A systematic draw by weight without randomness; indices ``(G, N)``, the identity for equal weights."""
    groups, particles = log_weights.shape
    points = (np.arange(particles) + 0.5) / particles
    ends = normalised_weights(log_weights.astype(float)).cumsum(axis=1)
    return np.stack([np.searchsorted(end[:-1], points) for end in ends]).reshape(groups, particles)


def at_places_of_ancestors(index: Array, ancestors: Array) -> Array:
    """Reorder ``index (G, N)`` so that particles stand at the place of their ancestor at t = 0.

    A base sample and a tilted sample at equal places then come from the same noise. If several particles have the same
    ancestor, the first takes its place, and the others fill the places that are left.
    """
    return np.stack([_row_at_places(row, ancestor[row]) for row, ancestor in zip(index, ancestors, strict=True)])


def _row_at_places(index: Array, place: Array) -> Array:
    out = np.full_like(index, -1)
    first = np.unique(place, return_index=True)[1]
    out[place[first]] = index[first]
    out[out < 0] = np.delete(index, first)
    return out


def how_many_fit(groups: int, particles: int, limit: int) -> tuple[int, int]:
    """How many groups, and particles of each, fit into ``limit`` pictures."""
    per_group = min(particles, max(1, limit // groups))
    return min(groups, limit), per_group


def with_selected(index: Array, selected: Array) -> tuple[Array, Array]:
    """Make sure that the particle ``selected (G,)`` is among those shown, ``index (G, M)``.

    If it is not, it takes the last place.

    Returns:
        The indices ``(G, M)``, and the place of the selected particle among them, ``(G,)``.
    """
    found = index == selected[:, None]
    place = np.where(found.any(axis=1), found.argmax(axis=1), index.shape[1] - 1)
    index = index.copy()
    index[np.arange(len(index)), place] = selected
    return index, place
