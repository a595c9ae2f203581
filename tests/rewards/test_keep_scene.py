"""The reward of a scene that stays as it was, and its verdicts."""

import pytest
import torch

from fmtt.data.images import read_sample
from fmtt.rewards import Keep, KeepScene
from tests.studies.test_scenes_edit import QUESTION, recoloured


def test_it_is_the_distance_of_all_pixels() -> None:
    x = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(KeepScene("scene_1", QUESTION)(x), Keep("scene_1", "nothing")(x))


def test_its_statistics_are_the_verdicts_of_the_judge() -> None:
    picture = read_sample("path", "scene_1", (3, 32, 32))
    found = KeepScene("scene_1", QUESTION).statistics(torch.cat([picture[None], recoloured()]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "made": [0, 1, 1], "kept": [1, 1, 0], "edited": [0, 1, 0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "question", "complaint"),
    [
        (
            "scene_1",
            "Are there two objects?",
            "reward.question=Are there two objects\\?: an edit must be about an object",
        ),
        ("scene_1", "Is it green?", "the word 'it' is unknown"),
        ("scene_9", QUESTION, "reward.path=scene_9: the file does not exist"),
    ],
)
def test_other_settings_get_one_line(path: str, question: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        KeepScene(path, question)
