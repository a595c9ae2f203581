"""Edits of scenes to ask for, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fmtt.data.captions import Caption, Group, said
from fmtt.data.questions import Question, asked
from fmtt.data.scenes import COLOURS, SLOTS, World, render
from fmtt.flow import noise

DRAWN = 8  # scenes that are drawn for each edit; half of them have up to three objects of different shapes


Thing = tuple[int, int]  # the numbers of a shape and of a colour


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
    for picture, shapes, colours in zip(render(scenes), scenes.shape.tolist(), scenes.colour.tolist(), strict=True):
        things = [(shape, colour) for shape, colour in zip(shapes, colours, strict=True) if shape >= 0]
        free = int(generator.integers(len(things)))
        turn = int(generator.integers(1, len(COLOURS)))
        if len(dict(things)) == len(things) < SLOTS:
            found.append(Edit(picture, prompt_of(things, free), question_of(things[free], turn)))
    return found[:count]


def prompt_of(things: Sequence[Thing], free: int) -> str:
    """All things, the colour of number ``free`` not being said."""
    groups = [Group(1, None if k == free else colour, shape) for k, (shape, colour) in enumerate(things)]
    return said(Caption(tuple(groups)))


def question_of(thing: Thing, turn: int) -> str:
    """Whether a thing has the colour that is ``turn`` after its own."""
    shape, colour = thing
    return asked(Question((Group(1, (colour + turn) % len(COLOURS), shape),), only=True)).capitalize() + "?"
