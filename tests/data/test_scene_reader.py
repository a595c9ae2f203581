"""The exact judge against what was drawn, and against pictures that are broken."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fmtt.data.captions import understood
from fmtt.data.questions import answered, asked, questions_of, understood_question
from fmtt.data.scene_facts import Things, shown
from fmtt.data.scene_reader import judge, read
from fmtt.data.scene_texts import Speaker
from fmtt.data.scenes import Scenes, World, render

ANY = World(kinds=(0.2, 0.2, 0.2, 0.2, 0.2), counts=(0.34, 0.33, 0.33), tie=1.0)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return ANY.draw(1500, np.random.default_rng(1))


def kinds(things: Things) -> list[list[tuple[int, int]]]:
    rows = zip(things.shape.tolist(), things.colour.tolist(), strict=True)
    return [sorted(kind for kind in zip(*row, strict=True) if kind[0] >= 0) for row in rows]


def right(pictures: torch.Tensor, scenes: Scenes) -> tuple[float, float]:
    """The share of pictures that are read as they were drawn, and the share that is called broken."""
    found = read(pictures)
    same = [one == other for one, other in zip(kinds(found.things), kinds(Things.of(scenes)), strict=True)]
    return (torch.tensor(same) & ~found.broken).double().mean().item(), found.broken.double().mean().item()


def test_clean_renderings_are_read_as_they_were_drawn(scenes: Scenes) -> None:
    assert right(render(scenes), scenes) >= (0.995, 0.0)


def test_places_are_read_to_a_fraction_of_a_pixel() -> None:
    single = World(kinds=(1.0, 0.0, 0.0, 0.0, 0.0), tie=1.0).draw(300, np.random.default_rng(2))
    found = read(render(single)).things
    for seen, drawn in ((found.x, single.x), (found.y, single.y)):
        assert (seen[:, 0] - drawn[:, 0]).abs().max() < 0.25


def test_a_little_noise_is_no_matter_and_much_is_not_judged(scenes: Scenes) -> None:
    pictures, draws = render(scenes), torch.randn(1500, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert right((pictures + 0.08 * draws).clamp(-1, 1), scenes)[0] > 0.99
    assert right((pictures + 0.5 * draws).clamp(-1, 1), scenes) == (0.0, 1.0)


def test_broken_pictures_are_not_judged(scenes: Scenes) -> None:
    pictures = render(scenes)
    assert read((pictures + pictures.flip(0)) / 2).broken.double().mean() > 0.9  # two scenes in one
    assert read(torch.zeros(4, 3, 32, 32)).broken.all()  # nothing there


def test_blurred_pictures_are_read_right_or_not_at_all(scenes: Scenes) -> None:
    """Shapes look alike when they are blurred: guesses were wrong in up to three quarters of the pictures."""
    for width in (3, 5):
        found = read(F.avg_pool2d(render(scenes), width, 1, width // 2))
        pairs = zip(kinds(found.things), kinds(Things.of(scenes)), found.broken.tolist(), strict=True)
        assert sum(one != other and not broken for one, other, broken in pairs) < 0.02 * 1500


def test_verdicts_are_those_of_the_facts(scenes: Scenes) -> None:
    texts = Speaker(stated=0.7, placed=0.7).captions(scenes, np.random.default_rng(0))
    captions, reading = [understood(text) for text in texts], read(render(scenes))
    assert judge(captions, reading).double().mean() > 0.995
    others = captions[1:] + captions[:1]
    things = Things.of(scenes)
    truth = torch.cat([shown(caption, things.take(torch.tensor([k]))) for k, caption in enumerate(others)])
    assert (judge(others, reading) == truth).double().mean() > 0.995
    assert truth.double().mean() < 0.05


def test_a_mirrored_picture_has_the_opposite_relations(scenes: Scenes) -> None:
    texts = Speaker(stated=1.0).captions(scenes, np.random.default_rng(0))
    captions = [understood(text) for text in texts]
    sideways = [k for k, caption in enumerate(captions) if caption.relation in ("left", "right")]
    assert len(sideways) > 100
    reading = read(render(scenes)[sideways].flip(3))
    assert not judge([captions[k] for k in sideways], reading).any()


def test_the_questions_of_a_caption_are_together_the_caption(scenes: Scenes) -> None:
    things = Things.of(scenes)
    texts = Speaker(stated=0.7, placed=0.7, plain=0.3).captions(scenes, np.random.default_rng(3))
    for caption in {understood(text) for text in texts[:300]}:
        questions = questions_of(caption)
        assert all(understood_question(asked(question)) == question for question in questions)
        together = torch.stack([answered(question, things) for question in questions]).all(0)
        assert torch.equal(together, shown(caption, things))


def test_questions_tell_scenes_apart() -> None:
    """A red circle left of two blue squares, by hand."""
    things = Things(
        torch.tensor([[0, 1, 1, -1]]), torch.tensor([[0, 2, 2, -1]]),
        torch.tensor([[5.0, 20.0, 25.0, 0.0]]), torch.tensor([[16.0, 8.0, 24.0, 0.0]]),
    )  # fmt: skip
    yes = ["is there a red circle", "are there two blue squares", "are there three objects", "Is the circle red?",
           "is a circle left of two squares", "are two squares right of a circle",
           "is a circle on the left"]  # fmt: skip
    no = ["is there a blue circle", "are there three blue squares", "are there two objects", "is the circle blue",
          "is the square blue", "is a circle right of two squares", "is a circle above two squares",
          "is a circle at the top", "is there a star", "is a star left of two squares"]  # fmt: skip
    assert [bool(answered(understood_question(text), things)) for text in yes + no] == [True] * 7 + [False] * 10


@pytest.mark.parametrize("text", ["is it a dog", "is red", "is a red star left", "there is a star"])
def test_other_questions_get_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=f"reward.question={text}: ") as caught:
        understood_question(text)
    assert "\n" not in str(caught.value)
