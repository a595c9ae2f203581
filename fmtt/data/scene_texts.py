"""How the world talks of its scenes, and the prompts that it seldom or never says.

Captions rarely state relations and places. The uncommon prompts are the tests of text-to-image models in small, by the
categories of GenEval. Some of their contents are held out: no training scene shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product

import numpy as np
from torch import Tensor

from fmtt.data.captions import OPPOSITE, PLACES, RELATIONS, Caption, Group, Wording, said
from fmtt.data.scene_facts import MARGIN, Things, placed, related
from fmtt.data.scenes import COLOURS, SHAPES, Scenes
from fmtt.flow import noise

Content = frozenset[Group]
KINDS = tuple(product(range(len(SHAPES)), range(len(COLOURS))))  # (shape, colour)


@dataclass(frozen=True)
class Speaker:
    """The habits of captions.

    Attributes:
        stated: share of the captions of several kinds of objects that state a relation, where one holds.
        placed: share of the captions of one kind that state a place, where one holds.
        plain: share of the groups whose colour is not said, where the caption stays clear.
    """

    stated: float = 0.25
    placed: float = 0.1
    plain: float = 0.1

    def captions(self, scenes: Scenes, generator: np.random.Generator) -> list[str]:
        """A text for each of the scenes."""
        things = Things.of(scenes)
        there, last = scenes.present, last_kind(scenes)
        related_by = {word: related(word, there & ~last, last, things, 1.5 * MARGIN).tolist() for word in RELATIONS}
        placed_at = {word: placed(word, there, things, 0.5).tolist() for word in PLACES}
        groups = list(groups_of(scenes))
        return [
            self.caption(
                groups[k], [word for word in RELATIONS if related_by[word][k]],
                [word for word in PLACES if placed_at[word][k]], generator,
            )
            for k in range(len(groups))
        ]  # fmt: skip

    def caption(
        self, groups: list[Group], relations: list[str], places: list[str], generator: np.random.Generator
    ) -> str:
        """A text for a scene of ``groups``, all but the last of which stand in ``relations`` to it, at ``places``."""
        u, choices = generator.random(4 + len(groups)), generator.integers(60, size=4)
        relation = place = None
        if relations and u[0] < self.stated:
            relation = relations[choices[0] % len(relations)]
        elif len(groups) == 1 and places and u[0] < self.placed:
            place = places[choices[0] % len(places)]
        said_of = [
            replace(group, colour=None) if u[4 + k] < self.plain and alone(group, groups) else group
            for k, group in enumerate(groups)
        ]
        if u[1] < 0.5 and (relation is None or len(groups) == 2):
            said_of.reverse()
            relation = None if relation is None else OPPOSITE[relation]
        wording = Wording(choices[1] if u[2] < 0.5 else 0, choices[2], choices[3], "a" if u[3] < 0.7 else "one")
        return said(Caption(tuple(said_of), relation, place), wording)


def alone(group: Group, groups: list[Group]) -> bool:
    """Whether no other group has its shape."""
    return sum(other.shape == group.shape for other in groups) == 1


def last_kind(scenes: Scenes) -> Tensor:
    """Which slots hold objects of the same kind as the last one, ``(B, SLOTS)``."""
    last = scenes.present.sum(1, keepdim=True) - 1
    return (scenes.shape == scenes.shape.gather(1, last)) & (scenes.colour == scenes.colour.gather(1, last))


def groups_of(scenes: Scenes) -> Iterator[list[Group]]:
    """The groups of each scene, with colours, in the order of the slots."""
    for row in zip(scenes.shape.tolist(), scenes.colour.tolist(), strict=True):
        kinds = [kind for kind in zip(*row, strict=True) if kind[0] >= 0]
        yield [Group(kinds.count(kind), kind[1], kind[0]) for kind in dict.fromkeys(kinds)]


def contents(scenes: Scenes) -> Iterator[Content]:
    """What each scene shows."""
    return map(frozenset, groups_of(scenes))


@dataclass(frozen=True)
class Prompt:
    """A prompt of the benchmark, with its category."""

    category: str
    caption: Caption

    @property
    def text(self) -> str:
        return said(self.caption)


def possible_prompts(seed: int = 0) -> dict[str, list[Prompt]]:
    """All uncommon prompts of each category, in an order drawn from ``seed``."""
    unusual = [(shape, colour) for shape, colour in KINDS if shape != colour]
    pairs = [pair for pair in combinations(unusual, 2) if pair[0][0] != pair[1][0]]
    shapes = list(permutations(range(len(SHAPES)), 2))
    made = {
        "single": [Caption((Group(1, None, shape),), None, place) for shape in range(4) for place in PLACES],
        "two": [Caption((Group(1, None, one), Group(1, other, other))) for one, other in shapes],
        "counting": [Caption((Group(n, colour, shape),)) for n in (3, 4) for shape, colour in KINDS],
        "colours": [Caption((Group(1, colour, shape),)) for shape, colour in unusual],
        "position": [
            Caption((Group(1, None, one), Group(1, None, other)), relation)
            for one, other in shapes for relation in RELATIONS
        ],
        "binding": [Caption((Group(1, one[1], one[0]), Group(1, other[1], other[0]))) for one, other in pairs],
    }  # fmt: skip
    generator = noise.generator("uncommon prompts", seed)
    return {
        category: [Prompt(category, captions[k]) for k in generator.permutation(len(captions))]
        for category, captions in made.items()
    }


REPORTED = {"single": 8, "two": 8, "counting": 26, "colours": 10, "position": 36, "binding": 40}  # prompts
TUNING = {"single": 4, "two": 4, "counting": 8, "colours": 4, "position": 8, "binding": 12}
HELD_OUT = ("counting", "binding")  # categories whose reported contents no training scene shows


def reported() -> list[Prompt]:
    """The prompts that results are reported on."""
    return [prompt for name, prompts in possible_prompts().items() for prompt in prompts[: REPORTED[name]]]


def tuning() -> list[Prompt]:
    """The prompts that settings are chosen on; none of them is reported."""
    return [
        prompt
        for name, prompts in possible_prompts().items()
        for prompt in prompts[REPORTED[name] : REPORTED[name] + TUNING[name]]
    ]


def held_out() -> frozenset[Content]:
    """The contents that no training scene shows."""
    return frozenset(frozenset(prompt.caption.groups) for prompt in reported() if prompt.category in HELD_OUT)
