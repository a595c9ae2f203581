"""Pictures between two scenes: one object is altered, and answers are between those of both."""

import numpy as np
import torch

from fmtt.data.scene_facts import Things
from fmtt.data.scenes import World
from fmtt.training.mixed_scenes import altered, between
from fmtt.training.question_lessons import answers_of, lesson, mixed, singly


def test_one_object_of_each_scene_is_altered_in_one_way() -> None:
    scenes = World(tie=1.0).draw(600, np.random.default_rng(0))
    other = altered(scenes, np.random.default_rng(1))
    colour, shape, gone = other.colour != scenes.colour, other.shape != scenes.shape, scenes.present & ~other.present
    assert ((colour | shape).sum(1) == 1).all() and ((colour & shape) == gone).all()
    assert not (other.present & ~scenes.present).any() and other.present.any(1).all()
    several = scenes.present.sum(1) > 1
    assert abs(gone.any(1)[several].float().mean() - 0.25) < 0.06
    assert abs((colour & ~gone).any(1)[several].float().mean() - 0.5) < 0.07
    slots = (colour | shape).float().argmax(1)
    assert set(slots.tolist()) == {0, 1, 2, 3}


def test_a_share_of_the_pictures_is_between_two_scenes() -> None:
    taught = lesson(World(tie=1.0), 400, 3, 0)
    made = mixed(taught, 0.25, 5)
    apart = (made.pictures != taught.pictures).flatten(1).any(1)
    assert abs(apart.float().mean() - 0.25) < 0.07
    assert torch.equal(made.yes[~apart], taught.yes[~apart])
    graded = (made.yes > 0) & (made.yes < 1)
    assert graded[apart].any() and not graded[~apart].any()
    assert torch.equal(mixed(taught, 0.0, 5).pictures, taught.pictures)


def test_answers_are_as_far_on_the_way_as_pictures() -> None:
    taught = lesson(World(tie=1.0), 200, 4, 0)
    other = altered(taught.scenes, np.random.default_rng(1))
    yes, meant = answers_of(taught.questions, singly(Things.of(other)))
    share = torch.full((200,), 0.75)
    assert ((yes != taught.yes).any(1)).float().mean() > 0.5
    assert set(between(taught.yes, yes, share).unique().tolist()) == {0.0, 0.25, 0.75, 1.0}
    assert set(between(taught.meant, meant, share).unique().tolist()) == {0.0, 0.25, 0.75, 1.0}
