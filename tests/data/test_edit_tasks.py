"""Edits that are asked for: the picture shows the prompt, and the answer to the question is no, but could be yes."""

import torch

from fmtt.data.captions import understood
from fmtt.data.edit_tasks import draw_edits
from fmtt.data.questions import understood_question
from fmtt.data.scene_edits import judged
from fmtt.data.scene_reader import judge, read

EDITS = draw_edits(60, 3)


def test_the_picture_shows_the_prompt_and_not_yet_what_is_asked() -> None:
    for edit in EDITS:
        picture = edit.picture[None]
        assert judge([understood(edit.prompt)], read(picture)).item()
        assert {name: value.item() for name, value in judged(edit.picture, edit.question, picture).items()} == {
            "made": 0, "kept": 1, "edited": 0,
        }  # fmt: skip


def test_the_question_is_about_the_one_object_whose_colour_is_not_said() -> None:
    for edit in EDITS:
        (asked,) = understood_question(edit.question).groups
        groups = understood(edit.prompt).groups
        assert [group.shape for group in groups if group.colour is None] == [asked.shape]
        assert len({group.shape for group in groups}) == len(groups) <= 3


def test_edits_are_many_and_the_same_again() -> None:
    again = draw_edits(60, 3)
    assert [edit.question for edit in again] == [edit.question for edit in EDITS]
    assert all(torch.equal(one.picture, other.picture) for one, other in zip(EDITS, again, strict=True))
    assert len({edit.question for edit in EDITS}) > 15
    assert {len(understood(edit.prompt).groups) for edit in EDITS} == {1, 2, 3}
    assert len(draw_edits(3, 4)) == 3 and draw_edits(3, 4)[0].prompt != EDITS[0].prompt
