"""Questions about scenes whose answer is yes or no: read, written, answered from facts, and derived from captions.

    question = "is there" group | "are there" group | "are there" number "objects"
             | ("is" | "are") group relation group | ("is" | "are") group place
             | "is the" shape colour

"Is there a red circle" asks for at least one, "are there two red circles" for exactly two. Questions about a relation
or a place ask it of all such objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.data.captions import (
    COLOURS,
    NUMBERS,
    PLACES,
    RELATIONS,
    SHAPES,
    VOCABULARY,
    Caption,
    Group,
    group_text,
    understood_group,
    words_of,
)  # fmt: skip
from fmtt.data.scene_facts import Things, members, placed, related

QUESTION_WORDS = (*VOCABULARY, "is", "are", "there", "object", "objects")


@dataclass(frozen=True)
class Question:
    """A question with the answer yes or no.

    Attributes:
        groups: the objects that it asks about: none for the number of all, two for a relation.
        relation: of the first group to the second, or None.
        place: where the group is, or None.
        total: how many objects there are, or None.
        only: whether it asks for the colour of the only object of its shape.
    """

    groups: tuple[Group, ...] = ()
    relation: str | None = None
    place: str | None = None
    total: int | None = None
    only: bool = False


def asked(question: Question) -> str:
    """The text of a question."""
    if question.total is not None:
        number = list(NUMBERS)[question.total] if question.total > 1 else "one"
        return "is there one object" if question.total == 1 else f"are there {number} objects"
    first = question.groups[0]
    if question.only:
        assert first.colour is not None
        return f"is the {SHAPES[first.shape]} {COLOURS[first.colour]}"
    verb, texts = "is" if first.count == 1 else "are", [group_text(group, "a") for group in question.groups]
    if question.relation is not None:
        return f"{verb} {texts[0]} {RELATIONS[question.relation][0]} {texts[1]}"
    if question.place is not None:
        return f"{verb} {texts[0]} {PLACES[question.place]}"
    return f"{verb} there {texts[0]}"


def answered(question: Question, things: Things) -> Tensor:
    """Which scenes have the answer yes, ``(B,)``."""
    if question.total is not None:
        return things.count == question.total
    kinds = [members(group, things) for group in question.groups]
    first = question.groups[0]
    if question.only:
        return (members(Group(1, None, first.shape), things).sum(1) == 1) & kinds[0].any(1)
    enough = torch.stack([
        kind.any(1) if group.count == 1 else kind.sum(1) == group.count
        for kind, group in zip(kinds, question.groups, strict=True)
    ]).all(0)  # fmt: skip
    if question.relation is not None:
        return enough & related(question.relation, kinds[0], kinds[1], things)
    return enough & placed(question.place, kinds[0], things) if question.place is not None else enough


def questions_of(caption: Caption) -> list[Question]:
    """The questions that a picture of the caption answers with yes; if all are, it shows the caption and no more."""
    total = Question(total=sum(group.count for group in caption.groups))
    relations = [
        Question((group, caption.groups[-1]), relation=caption.relation)
        for group in caption.groups[:-1]
        if caption.relation is not None
    ]
    places = [Question((group,), place=caption.place) for group in caption.groups if caption.place is not None]
    return [total, *(Question((group,)) for group in caption.groups), *relations, *places]


def understood_question(text: str) -> Question:
    """What a text asks.

    Raises:
        ValueError: if a word is unknown, or the text is not in the grammar.
    """
    words = words_of(text, "reward.question", QUESTION_WORDS)
    sentence = " ".join(words[1:])
    if words[0] not in ("is", "are"):
        raise strange(text)
    match words[1:]:
        case ["there", number, "object" | "objects"] if number in NUMBERS:
            return Question(total=NUMBERS[number])
        case ["the", shape, colour] if shape in SHAPES and colour in COLOURS:
            return Question((Group(1, COLOURS.index(colour), SHAPES.index(shape)),), only=True)
        case ["there", *rest]:
            return Question((part(" ".join(rest), text),))
    for place, phrase in PLACES.items():
        if sentence.endswith(f" {phrase}"):
            return Question((part(sentence.removesuffix(f" {phrase}"), text),), place=place)
    for relation, wordings in RELATIONS.items():
        for phrase in sorted(wordings, key=len, reverse=True):
            if f" {phrase} " in sentence:
                first, _, second = sentence.partition(f" {phrase} ")
                return Question((part(first, text), part(second, text)), relation=relation)
    raise strange(text)


def part(words: str, text: str) -> Group:
    try:
        return understood_group(words, text)
    except ValueError:
        raise strange(text) from None


def strange(text: str) -> ValueError:
    return ValueError(
        f"reward.question={text}: is not understood; ask for example 'Is the circle green?',"
        " 'Are there two red stars?', 'Is a red star left of a blue square?', 'Is a star at the top?'"
        " or 'Are there three objects?'"
    )
