"""Which methods are dominated at a cost, by tests on pairs of samples from the same noise.

A method is dominated in a cell, a task at a cost, if another is significantly better in one quality and not
significantly worse in any. All tests of all rivals, cells and qualities are corrected together by Holm's rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from fmtt.studies.significance import holm, paired_tests, sign_test

LEVEL = 0.05  # of all tests together

Cell = tuple[str, float]  # a task and a cost
Qualities = Mapping[str, Tensor]  # by name, of each returned sample, (S,); larger is better


@dataclass(frozen=True)
class Contest:
    """A method against a rival in one quality of one cell.

    Attributes:
        cell: the task and the cost.
        method, rival: their names.
        quality: its name.
        gain: by how much the method is better in the mean.
        p: the corrected p-value of no difference.
    """

    cell: Cell
    method: str
    rival: str
    quality: str
    gain: float
    p: float

    @property
    def significant(self) -> bool:
        return self.p <= LEVEL


def contests(cells: Mapping[Cell, Mapping[str, Qualities]]) -> list[Contest]:
    """All contests, each pair once; methods of a cell have samples from the same noise, in the same order.

    Raises:
        ValueError: if two methods of a cell have different numbers of samples.
    """
    pairs = list(pairs_of(cells))
    p_values = holm(p_values_of([(name, apart) for *_, name, apart in pairs]))
    return [
        Contest(cell, method, rival, name, apart.double().mean().item(), p)
        for (cell, method, rival, name, apart), p in zip(pairs, p_values, strict=True)
    ]


def pairs_of(cells: Mapping[Cell, Mapping[str, Qualities]]) -> Iterator[tuple[Cell, str, str, str, Tensor]]:
    """For each pair of methods of a cell and each quality the differences of their samples."""
    for cell, methods in cells.items():
        names = list(methods)
        for place, method in enumerate(names):
            for rival in names[place + 1 :]:
                for quality, mine in methods[method].items():
                    theirs = methods[rival][quality]
                    if len(mine) != len(theirs):
                        raise ValueError(
                            f"{cell[0]} at {cell[1]:g}: {method} has {len(mine)} samples, {rival} {len(theirs)};"
                            " a comparison needs the same seeds and groups"
                        )
                    yield cell, method, rival, quality, mine.double() - theirs.double()


def p_values_of(differences: Sequence[tuple[str, Tensor]]) -> list[float]:
    """Shares are compared by :func:`sign_test`, other qualities by :func:`paired_tests`."""
    found: list[float] = [0.0] * len(differences)
    by_length: dict[int, list[int]] = {}
    for place, (_, apart) in enumerate(differences):
        if bool(((apart == 0) | (apart.abs() == 1)).all()):
            found[place] = sign_test(apart)
        else:
            by_length.setdefault(len(apart), []).append(place)
    for places in by_length.values():
        for some in (places[k : k + 512] for k in range(0, len(places), 512)):  # the draws of signs need memory
            tested = paired_tests(torch.stack([differences[place][1] for place in some], dim=1))
            for place, p in zip(some, tested, strict=True):
                found[place] = p
    return found


def dominated(found: Sequence[Contest]) -> dict[tuple[Cell, str], list[str]]:
    """The rivals that dominate each method in each cell, by name; an empty list if there is none."""
    better: dict[tuple[Cell, str, str], set[str]] = {}
    known: dict[tuple[Cell, str], list[str]] = {}
    for contest in found:
        for one, other in permutations((contest.method, contest.rival)):
            known.setdefault((contest.cell, one), [])
            better.setdefault((contest.cell, one, other), set())
        if contest.significant and contest.gain:
            winner, loser = contest.method, contest.rival
            if contest.gain < 0:
                winner, loser = loser, winner
            better[contest.cell, winner, loser].add(contest.quality)
    for (cell, winner, loser), qualities in better.items():
        if qualities and not better[cell, loser, winner]:
            known[cell, loser].append(winner)
    return known
