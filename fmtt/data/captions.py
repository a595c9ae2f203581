"""What scenes are called: a small grammar of English, read and written.

    caption   = [opening] objects [place] | [opening] objects relation group
    objects   = group | group joiner group | group "," group "and" group
    group     = number [colour] shape

A caption states all objects of a scene. A group without a colour is of any colour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fmtt.data.scenes import COLOURS, SHAPES, SLOTS

NUMBERS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4}
PLURALS = tuple(f"{shape}s" for shape in SHAPES)
OPENINGS = ("", "a picture of", "an image of")
JOINERS = ("and", "with")
RELATIONS = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
PLACES = {"left": "on the left", "right": "on the right", "above": "at the top", "below": "at the bottom"}
PHRASES = (*OPENINGS, *JOINERS, *(words for wordings in RELATIONS.values() for words in wordings), *PLACES.values())
VOCABULARY = tuple(
    dict.fromkeys((*NUMBERS, *COLOURS, *SHAPES, *PLURALS, ",", *(word for text in PHRASES for word in text.split())))
)
LONGEST = 24  # words of a caption


@dataclass(frozen=True)
class Group:
    """Some objects of a kind; ``colour`` and ``shape`` are numbers, and the colour is None for any."""

    count: int
    colour: int | None
    shape: int


@dataclass(frozen=True)
class Caption:
    """What a text says.

    Attributes:
        groups: all objects.
        relation: where all groups but the last are, seen from the last one: a word of :data:`RELATIONS`, or None.
        place: where the objects are in the picture: a word of :data:`PLACES`, or None.
    """

    groups: tuple[Group, ...]
    relation: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class Wording:
    """Which of several ways of saying the same.

    Attributes:
        opening, joiner, relation: numbers of the entries of :data:`OPENINGS`, :data:`JOINERS` and :data:`RELATIONS`;
            taken modulo how many there are.
        article: the word for one.
    """

    opening: int = 0
    joiner: int = 0
    relation: int = 0
    article: str = "a"


def words_of(text: str, name: str = "prompt", vocabulary: Sequence[str] = VOCABULARY) -> list[str]:
    """The words of a text; ``name`` is what the text is in messages.

    Raises:
        ValueError: naming the first word that is unknown, or if there are none, or too many.
    """
    words = re.findall(r"[^\s,.?]+|,", text.lower())
    for word in words:
        if word not in vocabulary:
            raise ValueError(f"{name}={text}: the word '{word}' is unknown; known are {' '.join(vocabulary)}")
    if not 0 < len(words) <= LONGEST:
        raise ValueError(f"{name}={text}: must have between 1 and {LONGEST} words")
    return words


def said(caption: Caption, wording: Wording = Wording()) -> str:
    """The text of a caption."""
    groups = [group_text(group, wording.article) for group in caption.groups]
    last = groups.pop() if caption.relation else ""
    objects = groups[0]
    if len(groups) == 2:
        objects = f"{groups[0]} {JOINERS[wording.joiner % len(JOINERS)]} {groups[1]}"
    elif len(groups) == 3:
        objects = f"{groups[0]}, {groups[1]} and {groups[2]}"
    parts = [OPENINGS[wording.opening % len(OPENINGS)], objects]
    if caption.relation:
        wordings = RELATIONS[caption.relation]
        parts += [wordings[wording.relation % len(wordings)], last]
    if caption.place:
        parts.append(PLACES[caption.place])
    return " ".join(part for part in parts if part)


def group_text(group: Group, article: str) -> str:
    number = article if group.count == 1 else list(NUMBERS)[group.count]
    names = SHAPES if group.count == 1 else PLURALS
    return " ".join([number, *([] if group.colour is None else [COLOURS[group.colour]]), names[group.shape]])


def understood(text: str) -> Caption:
    """What a text says.

    Raises:
        ValueError: if a word is unknown, or the text is not in the grammar.
    """
    sentence = " ".join(words_of(text))
    for opening in OPENINGS[1:]:
        sentence = sentence.removeprefix(f"{opening} ")
    relation = place = None
    for name, words in PLACES.items():
        if sentence.endswith(f" {words}"):
            sentence, place = sentence.removesuffix(f" {words}"), name
    parts = [sentence]
    for name, wordings in RELATIONS.items():
        for words in sorted(wordings, key=len, reverse=True):
            if f" {words} " in sentence and relation is None:
                parts, relation = sentence.split(f" {words} "), name
    objects = re.split(r" , | and | with ", parts[0])
    groups = tuple(understood_group(part, text) for part in (*objects, *parts[1:]))
    caption = Caption(groups, relation, place)
    if len(parts) > 2 or (relation and place) or len(objects) > 3:
        raise ungrammatical(text)
    if sum(group.count for group in groups) > SLOTS:
        raise ValueError(f"prompt={text}: a picture has room for {SLOTS} objects")
    if any(overlap(one, other) for k, one in enumerate(groups) for other in groups[:k]):
        raise ValueError(f"prompt={text}: names the same objects twice")
    return caption


def understood_group(part: str, text: str) -> Group:
    match part.split():
        case [number, colour, shape] if number in NUMBERS and colour in COLOURS:
            tint: int | None = COLOURS.index(colour)
        case [number, shape] if number in NUMBERS:
            tint = None
        case _:
            raise ungrammatical(text)
    names: Sequence[str] = SHAPES if NUMBERS[number] == 1 else PLURALS
    if shape not in names:
        raise ungrammatical(text)
    return Group(NUMBERS[number], tint, names.index(shape))


def overlap(one: Group, other: Group) -> bool:
    """Whether an object could belong to both groups."""
    return one.shape == other.shape and (one.colour == other.colour or None in (one.colour, other.colour))


def ungrammatical(text: str) -> ValueError:
    return ValueError(
        f"prompt={text}: is not understood; write for example 'two red circles and a blue square to the left of a star'"
    )
