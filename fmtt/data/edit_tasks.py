"""Edits of scenes to ask for, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fmtt.data.captions import Caption, Group, said
from fmtt.data.questions import Question, asked
from fmtt.data.scene_texts import groups_of
from fmtt.data.scenes import COLOURS, SLOTS, World, render
from fmtt.flow import noise

DRAWN = 8  # scenes that are drawn for each edit; half of them have up to three objects of different shapes


@dataclass(frozen=True)
class Edit:
    """An edit that is asked for.

    Attributes:
        picture: ``(3, 32, 32)`` in [-1, 1].
        prompt: all objects, without the colour that may change.
        question: whether that object has another colour.
    """

    picture: Tensor
    prompt: str
    question: str


def draw_edits(count: int, seed: int) -> list[Edit]:
    """Edits of the scenes of the world that have up to three objects, all of different shapes.

    The object and its new colour are drawn with equal probabilities.
    """
    generator, found = noise.generator("edits", seed), list[Edit]()
    scenes = World().draw(DRAWN * count, generator)
    for picture, groups in zip(render(scenes), groups_of(scenes), strict=True):
        number = sum(group.count for group in groups)
        free, turn = int(generator.integers(number)), int(generator.integers(1, len(COLOURS)))
        if len({group.shape for group in groups}) == number < SLOTS:
            found.append(Edit(picture, prompt_of(groups, free), question_of(groups[free], turn)))
    return found[:count]


def prompt_of(groups: Sequence[Group], free: int) -> str:
    """All objects, the colour of number ``free`` not being said."""
    told = [replace(group, colour=None) if k == free else group for k, group in enumerate(groups)]
    return said(Caption(tuple(told)))


def question_of(group: Group, turn: int) -> str:
    """Whether an object has the colour that is ``turn`` after its own."""
    assert group.colour is not None
    other = replace(group, colour=(group.colour + turn) % len(COLOURS))
    return asked(Question((other,), only=True)).capitalize() + "?"
