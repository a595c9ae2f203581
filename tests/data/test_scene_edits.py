"""What an edit of a scene may change, and what it must keep."""

from dataclasses import replace

import pytest
import torch

from fmtt.data.images import read_sample
from fmtt.data.scene_edits import NEAR, kept
from fmtt.data.scene_facts import Things
from fmtt.data.scene_reader import read

CIRCLE, SQUARE = 0, 1


def things(*objects: tuple[int, int, float, float]) -> Things:
    """One scene; an object is its shape, its colour and its place."""
    rows = torch.tensor([*objects, *[(-1, -1, 0.0, 0.0)] * (3 - len(objects))])
    return Things(rows[None, :, 0].long(), rows[None, :, 1].long(), rows[None, :, 2], rows[None, :, 3])


BEFORE = things((CIRCLE, 0, 8.0, 8.0), (SQUARE, 1, 24.0, 24.0))


@pytest.mark.parametrize(
    ("after", "right"),
    [
        (BEFORE, True),
        (things((SQUARE, 1, 24.0, 24.0), (CIRCLE, 3, 20.0, 5.0)), True),  # the circle is free; the order is not kept
        (things((CIRCLE, 3, 8.0, 8.0), (SQUARE, 1, 24.0 + NEAR - 0.1, 24.0)), True),
        (things((CIRCLE, 3, 8.0, 8.0), (SQUARE, 1, 24.0 + NEAR + 0.1, 24.0)), False),
        (things((CIRCLE, 3, 8.0, 8.0), (SQUARE, 2, 24.0, 24.0)), False),  # another colour
        (things((CIRCLE, 3, 8.0, 8.0)), False),
        (things((CIRCLE, 3, 8.0, 8.0), (CIRCLE, 3, 16.0, 8.0), (SQUARE, 1, 24.0, 24.0)), False),  # one more
        (things((SQUARE, 1, 8.0, 8.0), (SQUARE, 1, 24.0, 24.0)), False),  # no circle
    ],
)
def test_all_other_objects_stay(after: Things, right: bool) -> None:
    assert kept(BEFORE, after, CIRCLE).tolist() == [right]


def test_scenes_of_a_batch_are_judged_one_by_one() -> None:
    moved = things((CIRCLE, 0, 8.0, 8.0), (SQUARE, 1, 10.0, 24.0))
    batch = replace(BEFORE, **{name: torch.cat([value, vars(moved)[name]]) for name, value in vars(BEFORE).items()})
    assert kept(BEFORE, batch, CIRCLE).tolist() == [True, False]


@pytest.mark.parametrize("name", [f"scene_{number}" for number in range(1, 7)])
def test_the_bundled_pictures_can_be_read(name: str) -> None:
    reading = read(read_sample("path", name, (3, 32, 32))[None])
    assert not reading.broken.any() and reading.things.count.item() in (1, 2, 3)
