"""Scenes from the command line, with small untrained networks: prompts, questions, verdicts, the table of methods."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fmtt.models.checkpoints import save_network
from fmtt.models.question_net import QuestionNet
from fmtt.models.text_unet import TextUNet
from fmtt.studies.scenes_edit import study_edits
from fmtt.studies.scenes_geneval import study_geneval
from tests.command import Outcome

NET = {"channels": 3, "size": 32, "width": 8, "blocks": 1, "embedding": 16, "words": 16}
ANSWERS = {"size": 32, "width": 16, "layers": 1}
PROMPTS = ["a yellow circle and a blue square", "a red triangle", "four yellow stars", "a circle left of a star"]
PROMPT = f'prompt=["{PROMPTS[0]}","{PROMPTS[1]}"]'


EDIT = """
defaults: [my_scenes@terms.change]
_target_: fmtt.rewards.WeightedSum
_convert_: all
terms:
  change: {question: "Is the circle green?"}
  keep: {_target_: fmtt.rewards.KeepScene, path: scene_1, question: "${..change.question}", scale: 30.0}
scale: 1.0
"""


@pytest.fixture
def scenes(fmtt: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Outcome]:
    """``scenes("mode=search", ...)`` on a model of scenes and the reward of questions."""
    torch.manual_seed(0)
    save_network(TextUNet(**NET), NET, tmp_path / "scenes.safetensors", {})
    save_network(QuestionNet(**ANSWERS), ANSWERS, tmp_path / "answers.safetensors", {})
    made = {
        "model": f"_target_: fmtt.models.text_model.load_text_model\ncheckpoint: {tmp_path}/scenes.safetensors",
        "reward": "_target_: fmtt.rewards.Questions\nquestion: null\nsecond: null\nscale: 4.0\n"
        f"checkpoint: {tmp_path}/answers.safetensors",
    }
    for group, text in made.items():
        (tmp_path / "my" / group).mkdir(parents=True)
        (tmp_path / "my" / group / "my_scenes.yaml").write_text(text)
    (tmp_path / "my" / "reward" / "my_edit.yaml").write_text(EDIT)

    def run(*words: str, **settings) -> Outcome:
        sizes = ["population.groups=2", "population.particles=2", "sampler.steps=2", "lookahead=flowmap1"]
        chosen = ["model=my_scenes", "reward=my_scenes", *sizes, *words]
        return fmtt(f"--config-dir={tmp_path / 'my'}", *chosen, small=False, **settings)

    return run


def test_prompts_have_verdicts_and_pictures(scenes: Callable[..., Outcome]) -> None:
    done = scenes(PROMPT, "mode=search")
    assert done.status == 0, done.err
    with (done.folder / "prompts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == PROMPTS[:2]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("right", "broken", "says_yes"))
    assert all(float(row["reward/mean"]) < 0 for row in rows)
    assert (done.folder / "report.html").read_text().count('class="few"') == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (['prompt="a red dog"'], "prompt=a red dog: the word 'dog' is unknown; known are a one two three"),
        (['prompt="red circle"'], "prompt=red circle: is not understood"),
        ([PROMPT, 'reward.question="is it red"'], "reward.question=is it red: the word 'it' is unknown"),
        ([], "conditions: the model needs one entry for each prompt"),
    ],
)
def test_other_texts_get_one_line(words: list[str], complaint: str, scenes: Callable[..., Outcome]) -> None:
    done = scenes(*words)
    assert done.status == 2
    assert complaint in done.complaint
    assert len(done.complaint.splitlines()) == 1


def test_returned_pictures_are_judged_by_method_and_category(scenes: Callable[..., Outcome], tmp_path: Path) -> None:
    categories = ("binding", "colours", "counting", "position")
    lines = [f"# {category}\n{prompt}" for category, prompt in zip(categories, PROMPTS, strict=True)]
    (tmp_path / "texts").write_text("\n".join(lines))
    for mode in ("best_of_n", "search"):
        words = [
            f"prompts_file={tmp_path / 'texts'}",
            f"mode={mode}",
            "budget.nfe=12",
            "report=false",
            "baseline=false",
        ]
        done = scenes(*words, folder=f"runs/{mode}")
        assert done.status == 0, done.err
    text = study_geneval([tmp_path / "runs"], tmp_path / "table")
    assert text.startswith("**budget 12**")
    assert "| method | cost | seconds | binding | colours | counting | position | over all | reward says yes |" in text
    assert "best_of_n" in text and "search" in text
    assert (tmp_path / "table.png").is_file()


def test_a_picture_is_edited_by_a_question(scenes: Callable[..., Outcome], tmp_path: Path) -> None:
    start = ["sampler/start=image", "sampler.start.path=scene_1"]
    done = scenes('prompt="a circle and a blue triangle"', "reward=my_edit", "mode=search", *start, folder="runs/0")
    assert done.status == 0, done.err
    assert {"terms/change", "terms/keep", "right", "says_yes", "made", "kept", "edited"} <= done.metrics.keys()
    table = study_edits([tmp_path / "runs"], tmp_path / "table").splitlines()
    assert table[0].startswith("| method | cost | both, % | change made, % |") and len(table) == 3
