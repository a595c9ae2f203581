"""The reward of questions that are answered with yes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fmtt.data.questions import QUESTION_WORDS
from fmtt.data.scenes import World, render
from fmtt.models.checkpoints import save_network
from fmtt.models.question_net import QuestionNet
from fmtt.models.words import tokens_of
from fmtt.rewards import Questions

SMALL = {"size": 32, "width": 16, "layers": 1}
PROMPTS = ["two red circles left of a star", "a blue square"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("questions") / "net.safetensors"
    save_network(QuestionNet(**SMALL), SMALL, path, {})
    return str(path)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return render(World().draw(4, np.random.default_rng(0)))


def test_questions_of_the_prompt_are_summed(checkpoint: str, pictures: torch.Tensor) -> None:
    reward = Questions(checkpoint=checkpoint, second=None)
    told = reward.encode_prompts(PROMPTS)
    assert told["questions"].shape[:2] == (2, 4)  # three objects, two circles, a star, left of; two for the other
    which = torch.tensor([0, 1, 1, 0])
    values = reward(pictures, {name: rows[which] for name, rows in told.items()})
    asked = {
        0: ["are there three objects", "are there two red circles", "is there a star",
            "are two red circles left of a star"],
        1: ["is there one object", "is there a blue square"],
    }  # fmt: skip
    for row, prompt in enumerate(which.tolist()):
        tokens = tokens_of([text.split() for text in asked[prompt]], QUESTION_WORDS)
        odds = reward.network(pictures[row].expand(len(tokens), -1, -1, -1), tokens)
        assert values[row].item() == pytest.approx(F.logsigmoid(odds).sum().item(), rel=1e-5)
    assert (values < 0).all()


def test_given_questions_replace_those_of_the_prompt(checkpoint: str, pictures: torch.Tensor) -> None:
    reward = Questions("Is the circle green?", checkpoint, None)
    plain, told = reward(pictures), reward.encode_prompts(PROMPTS)
    with_prompt = reward(pictures, {name: rows[[0, 0, 1, 1]] for name, rows in told.items()})
    torch.testing.assert_close(plain, with_prompt)
    both = Questions(["Is the circle green?", "is there a star"], checkpoint, None)(pictures)
    other = Questions("is there a star", checkpoint, None)(pictures)
    torch.testing.assert_close(both, plain + other)


def test_gradients_reach_the_picture(checkpoint: str, pictures: torch.Tensor) -> None:
    reward = Questions(checkpoint=checkpoint, second=None)
    told = {name: rows[[1, 1, 1, 1]] for name, rows in reward.encode_prompts(PROMPTS).items()}
    x = pictures.clone().requires_grad_()
    (slope,) = torch.autograd.grad(reward(x, told).sum(), x)
    assert torch.isfinite(slope).all()
    assert (slope.flatten(1).norm(dim=1) > 0).all()


def test_statistics_have_the_verdict_of_the_exact_judge(checkpoint: str) -> None:
    scenes = World(kinds=(1.0, 0.0, 0.0, 0.0, 0.0)).draw(60, np.random.default_rng(1))
    reward = Questions(checkpoint=checkpoint, second=checkpoint)
    told = {name: rows[[1] * 60] for name, rows in reward.encode_prompts(PROMPTS).items()}
    found = reward.statistics(render(scenes), told)
    truth = (scenes.shape[:, 0] == 1) & (scenes.colour[:, 0] == 2)
    assert torch.equal(found["right"].bool(), truth)
    assert found["broken"].sum() == 0
    assert torch.equal(found["says_yes"], found["second_says_yes"])


def test_the_exact_judge_answers_questions_that_are_given(checkpoint: str) -> None:
    scenes = World().draw(60, np.random.default_rng(1))
    found = Questions(["is there a red circle", "are there two objects"], checkpoint, None).statistics(render(scenes))
    red_circle = ((scenes.shape == 0) & (scenes.colour == 0)).any(1)
    truth = red_circle & (scenes.present.sum(1) == 2)
    assert torch.equal(found["right"].bool(), truth) and 0 < truth.sum() < 60


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("is it red", "reward.question=is it red: the word 'it' is unknown"),
        ("is red", "reward.question=is red: is not"),
    ],
)
def test_other_questions_are_refused(question: str, words: str, checkpoint: str) -> None:
    with pytest.raises(ValueError, match=words):
        Questions(question, checkpoint)


def test_without_question_and_prompt_there_is_nothing_to_ask(checkpoint: str, pictures: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"reward\.question=null: needs a question, or a prompt"):
        Questions(checkpoint=checkpoint, second=None)(pictures)
    with pytest.raises(
        ValueError, match=r"reward vqa needs pictures \(3, 32, 32\), not samples of shape \(1, 28, 28\)"
    ):
        Questions("is there a star", checkpoint, None)(torch.zeros(2, 1, 28, 28))
