"""Scenes and questions about them, from which a network learns to answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fmtt.data.captions import COLOURS, PLACES, RELATIONS, SHAPES, Group, words_of
from fmtt.data.questions import QUESTION_WORDS, Question, answered, asked
from fmtt.data.scene_facts import Things, members
from fmtt.data.scene_texts import groups_of
from fmtt.data.scenes import SLOTS, Scenes, World, render
from fmtt.flow import noise
from fmtt.models.question_net import MAPS
from fmtt.models.words import tokens_of, trimmed
from fmtt.training.mixed_scenes import altered, between


@dataclass(frozen=True)
class Lesson:
    """B scenes and Q questions about each.

    Attributes:
        scenes: the scenes.
        questions: lists of B questions, Q of them.
        tokens: the words of the questions, ``(B, Q, L)``.
        yes: the answers, ``(B, Q)``, 0 or 1.
        meant: which objects are of the groups that the questions ask about, ``(B, Q, SLOTS, MAPS)``, 0 or 1.
        pictures: ``(B, 3, SIZE, SIZE)``.
    """

    scenes: Scenes
    questions: list[list[Question]]
    tokens: Tensor
    yes: Tensor
    meant: Tensor
    pictures: Tensor


def lesson(world: World, count: int, each: int, *key: int | str) -> Lesson:
    """``count`` scenes, and ``each`` questions about every one: of all kinds, and about half of the answers are yes."""
    generator = noise.generator("questions", *key)
    scenes = world.draw(count, generator)
    things, groups = singly(Things.of(scenes)), list(groups_of(scenes))
    questions = [
        [question_about(own, thing, generator) for own, thing in zip(groups, things, strict=True)] for _ in range(each)
    ]
    texts = [words_of(asked(question), "question", QUESTION_WORDS) for row in questions for question in row]
    tokens = trimmed(tokens_of(texts, QUESTION_WORDS)).unflatten(0, (each, count)).transpose(0, 1)
    return Lesson(scenes, questions, tokens, *answers_of(questions, things), render(scenes))


def answers_of(questions: list[list[Question]], things: list[Things]) -> tuple[Tensor, Tensor]:
    """The answers to lists of questions about scenes, and the objects that are meant, as in :class:`Lesson`."""
    yes = [torch.cat([answered(*pair) for pair in zip(row, things, strict=True)]) for row in questions]
    meant = [torch.cat([meant_by(*pair) for pair in zip(row, things, strict=True)]) for row in questions]
    return torch.stack(yes, dim=1).float(), torch.stack(meant, dim=1).float()


def mixed(taught: Lesson, share: float, *key: int | str) -> Lesson:
    """The lesson with a ``share`` of its pictures between two scenes, one of which has one object altered.

    Between them the answers are, too: at a third of the way they are a third of the other scene's.
    """
    generator = noise.generator("questions", "mixed", *key)
    other = altered(taught.scenes, generator)
    whole, way = (torch.from_numpy(generator.random(len(taught.yes))).float() for _ in range(2))
    way = torch.where(whole < share, way, 1.0)
    yes, meant = answers_of(taught.questions, singly(Things.of(other)))
    return replace(
        taught,
        yes=between(taught.yes, yes, way),
        meant=between(taught.meant, meant, way),
        pictures=between(taught.pictures, render(other), way),
    )


def singly(things: Things) -> list[Things]:
    """Each scene by itself."""
    return [things.take(torch.tensor([row])) for row in range(len(things.shape))]


def meant_by(question: Question, things: Things) -> Tensor:
    """Which objects are of the first and of the second group of a question, ``(B, SLOTS, MAPS)``.

    "Is the circle green" asks about green circles and about circles, the number of all objects about all.
    """
    if question.total is not None:
        groups = [things.shape >= 0]
    elif question.only:
        groups = [members(question.groups[0], things), members(replace(question.groups[0], colour=None), things)]
    else:
        groups = [members(group, things) for group in question.groups]
    nothing = torch.zeros_like(groups[0])
    return torch.stack([*groups, nothing][:MAPS], dim=2)


def question_about(groups: list[Group], things: Things, generator: np.random.Generator) -> Question:
    """A question about one scene of ``groups``; in half of them something was changed."""
    kind, false, plain, order = generator.random(4)
    number = int(generator.integers(60))
    group, other = (groups[0], groups[-1]) if order < 0.5 else (groups[-1], groups[0])
    if kind < 0.15:
        return Question(total=1 + number % SLOTS if false < 0.5 else sum(one.count for one in groups))
    if kind < 0.5 and plain > 0.75:
        group = changed(group, generator)
    if kind < 0.3:
        return turned([Question((group,), place=direction) for direction in PLACES], things, number, false < 0.5)
    if kind < 0.5 and len(groups) == 2:
        pairs = [Question((group, other), relation=direction) for direction in RELATIONS]
        return turned(pairs, things, number, false < 0.5)
    if false < 0.5:
        group = changed(group, generator)
    if kind < 0.6:
        return Question((replace(group, count=1),), only=True)
    return Question((replace(group, colour=None) if plain < 0.15 else group,))


def turned(questions: list[Question], things: Things, number: int, false: bool) -> Question:
    """One of the questions with the wanted answer, if there is one; else any."""
    fitting = [question for question in questions if bool(answered(question, things)) is not false]
    return (fitting or questions)[number % len(fitting or questions)]


def changed(group: Group, generator: np.random.Generator) -> Group:
    """The group with another count, colour or shape."""
    what, number = generator.integers(3), int(generator.integers(1, 60))
    if what == 0:
        return replace(group, count=1 + another(group.count - 1, SLOTS, number))
    if what == 1:
        assert group.colour is not None
        return replace(group, colour=another(group.colour, len(COLOURS), number))
    return replace(group, shape=another(group.shape, len(SHAPES), number))


def another(value: int, size: int, number: int) -> int:
    """One of the ``size`` values that is not ``value``."""
    return (value + 1 + number % (size - 1)) % size
