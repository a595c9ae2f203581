"""Captions are read as they are written; what is not in the grammar gets one line."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from fmtt.data.captions import COLOURS, SHAPES, Caption, Group, Wording, said, understood
from fmtt.data.scene_texts import HELD_OUT, Speaker, contents, held_out, possible_prompts, reported, tuning
from fmtt.data.scenes import World
from fmtt.run.prompts import read_prompts
from fmtt.training.data import SceneImages

RED, GREEN, BLUE = (COLOURS.index(word) for word in ("red", "green", "blue"))
CIRCLE, SQUARE, TRIANGLE, STAR = range(len(SHAPES))


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("a red circle", Caption((Group(1, RED, CIRCLE),))),
        ("One star.", Caption((Group(1, None, STAR),))),
        (
            "two red circles and a blue square to the left of a star",
            Caption((Group(2, RED, CIRCLE), Group(1, BLUE, SQUARE), Group(1, None, STAR)), "left"),
        ),
        (
            "three green triangles left of a red star",
            Caption((Group(3, GREEN, TRIANGLE), Group(1, RED, STAR)), "left"),
        ),
        ("a picture of a circle with a square", Caption((Group(1, None, CIRCLE), Group(1, None, SQUARE)))),
        ("a circle, a square and a star", Caption(tuple(Group(1, None, k) for k in (CIRCLE, SQUARE, STAR)))),
        ("an image of two stars at the top", Caption((Group(2, None, STAR),), place="above")),
        ("a star under a circle", Caption((Group(1, None, STAR), Group(1, None, CIRCLE)), "below")),
        ("a star on the left of a circle", Caption((Group(1, None, STAR), Group(1, None, CIRCLE)), "left")),
        ("a star on the left", Caption((Group(1, None, STAR),), place="left")),
    ],
)
def test_texts_are_understood(text: str, caption: Caption) -> None:
    assert understood(text) == caption


def test_every_wording_of_every_caption_is_understood() -> None:
    scenes, texts = SceneImages(World(tie=1.0), Speaker(stated=0.5, placed=0.5, plain=0.3)).scenes(2000, 0)
    assert len(texts) == len(set(texts)) or len(set(texts)) > 500
    for text in texts:
        caption = understood(text)
        for number in range(6):
            assert understood(said(caption, Wording(number, number, number))) == caption
    assert scenes.shape.shape == (2000, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a red dog", "prompt=a red dog: the word 'dog' is unknown; known are a one two"),
        ("", "prompt=: must have between 1 and 24 words"),
        ("red circle", "is not understood; write for example"),
        ("a circles", "is not understood"),
        ("two circle", "is not understood"),
        ("a star left of", "is not understood"),
        ("a star left of a circle above a square", "is not understood"),
        ("a circle left of a star at the top", "is not understood"),
        ("three circles and two squares", "has room for 4 objects"),
        ("a circle and a red circle", "names the same objects twice"),
        ("a " * 30, "between 1 and 24 words"),
    ],
)
def test_other_texts_get_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        understood(text)
    assert "\n" not in str(caught.value)


def test_uncommon_prompts_are_in_the_grammar_and_apart() -> None:
    first, second = reported(), tuning()
    assert len(first) == 128
    assert len(second) == 40
    for prompt in first + second:
        assert understood(prompt.text) == prompt.caption
    assert not {prompt.text for prompt in first} & {prompt.text for prompt in second}
    assert {prompt.category for prompt in first} == set(possible_prompts())


def test_no_training_scene_shows_what_is_held_out() -> None:
    never = held_out()
    assert len(never) == 66
    scenes, _ = SceneImages().scenes(3000, 1)
    assert not never & set(contents(scenes))
    assert never & set(contents(World().draw(3000, np.random.default_rng(0))))
    assert HELD_OUT == ("counting", "binding")


@pytest.mark.parametrize(("name", "prompts"), [("reported", reported()), ("tuning", tuning())])
def test_prompt_files_are_those_of_the_benchmark(name: str, prompts: list) -> None:
    config = OmegaConf.create({"prompt": None, "prompts_file": f"docs/data/scenes_{name}.txt"})
    found = read_prompts(config)
    assert list(found.texts) == [prompt.text for prompt in prompts]
    assert list(found.categories) == [prompt.category for prompt in prompts]
