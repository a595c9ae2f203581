"""Prompts and decoders from the command line, on small models whose answers are known."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fmtt.flow.conditions import rows
from tests.command import Outcome
from tests.conditional import MEANS, ConditionalGaussian, ConditionalQuadratic

TWO = "prompt=[left,up]"


@pytest.fixture
def folder_of_configs(tmp_path: Path) -> str:
    """A folder of a user with a model with conditions, a reward with conditions and a model with a decoder."""
    made = {
        "model/told.yaml": "_target_: tests.conditional.ConditionalGaussian",
        "model/decoded.yaml": "_target_: tests.latent.LatentPictures",
        "reward/told.yaml": "_target_: tests.conditional.ConditionalQuadratic\nscale: 1.0",
        "mode/weights/mine.yaml": "_target_: tests.latent.DoubledKernel",
    }
    for name, text in made.items():
        (tmp_path / "my" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my" / name).write_text(text)
    return f"--config-dir={tmp_path / 'my'}"


@pytest.fixture
def told(fmtt: Callable[..., Outcome], folder_of_configs: str) -> Callable[..., Outcome]:
    def run(*words: str, **settings: object) -> Outcome:
        return fmtt(folder_of_configs, "model=told", "reward=told", *words, **settings)

    return run


def test_two_prompts_leave_a_table_of_prompts(told: Callable[..., Outcome]) -> None:
    done = told(TWO, "population.groups=16", "population.particles=64", "sampler.steps=16", "sampler/transport=flowmap")
    assert done.status == 0, done.err
    with (done.folder / "prompts.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["prompt"], row["text"]) for row in table] == [("0", "left"), ("1", "up")]
    for row in table:
        exact, found, error = (float(row[name]) for name in ("exact/log_z", "log_z/mean", "log_z/stderr"))
        assert abs(found - exact) < 5 * error
        condition = rows(ConditionalGaussian().encode_prompts([row["text"]]), np.zeros(1, dtype=int))[0]
        _, log_z = ConditionalGaussian().law(condition).tilted(*ConditionalQuadratic().quadratic_form(2, condition))
        assert math.isclose(exact, log_z.item())
    assert "left" in done.out and "up" in done.out
    page = (done.folder / "report.html").read_text()
    assert "<th" in page and "left" in page


def test_prompts_are_no_replicates_of_each_other(told: Callable[..., Outcome]) -> None:
    metrics = told(TWO, "report=false").metrics
    with (told(TWO, "report=false").folder / "prompts.csv").open() as file:
        parts = [[float(row["log_z/mean"]), float(row["log_z/stderr"])] for row in csv.DictReader(file)]
    assert math.isclose(metrics["log_z/mean"], sum(mean for mean, _ in parts) / 2)
    assert math.isclose(metrics["log_z/stderr"], math.hypot(*(error for _, error in parts)) / 2)
    assert len(metrics["log_z"]) == 4
    assert metrics["population/prompts"] == 2


def test_one_text_and_a_file_of_texts(told: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("left\n\nup\n")
    by_file = told(f"prompts_file={tmp_path / 'texts'}", folder="file")
    by_list = told(TWO, folder="list")
    assert by_file.metrics["log_z"] == by_list.metrics["log_z"]
    one = told("prompt=left", folder="one")
    assert one.metrics["log_z"] == by_list.metrics["log_z"][:2]
    arrays = load_file(by_list.folder / "samples.safetensors")
    assert arrays["prompt"].tolist() == [0, 0, 1, 1]


def test_a_file_names_the_categories_of_its_prompts(told: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("up\n# sideways\nleft\nright\n")
    done = told(f"prompts_file={tmp_path / 'texts'}", "logger=csv")
    assert done.status == 0, done.err
    with (done.folder / "prompts.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["text"], row["category"]) for row in table] == [
        ("up", ""),
        ("left", "sideways"),
        ("right", "sideways"),
    ]
    with (done.folder / "returned.csv").open() as file:
        returned = list(csv.DictReader(file))
    assert [row["prompt"] for row in returned] == ["0", "0", "1", "1", "2", "2"]
    assert {row["beyond"] for row in returned} <= {"0.0", "1.0"}
    of_category = sum(float(row["beyond/selected"]) for row in table[1:]) / 2
    assert "sideways" in done.out and f"{of_category:.3g}" in done.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["prompt=down"], "prompt=down: must be one of left, right, up"),
        (["prompt=[]"], "prompt=[]: must be a text, or a list of texts"),
        (["prompt=[left,3]"], "must be a text, or a list of texts"),
        (["prompts_file=nowhere"], "prompts_file=nowhere: there is no such file"),
        (["prompts_file=empty"], "prompts_file=empty: there is no prompt in it"),
        (["prompts_file=nowhere", "prompt=left"], "prompt, prompts_file: give one of the two"),
        ([], "the model needs one entry for each prompt"),
    ],
)
def test_bad_prompts_get_one_line(
    told: Callable[..., Outcome], words: list[str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("# a category\n\n")
    refused = told(*words)
    assert refused.status == 2
    assert complaint in refused.complaint and len(refused.complaint.splitlines()) == 1


def test_a_model_that_takes_no_prompt_refuses_one(fmtt: Callable[..., Outcome]) -> None:
    refused = fmtt('prompt="a"', "reward=quadratic", "mode=importance")
    assert refused.status == 2
    assert "this model takes no prompt" in refused.complaint and len(refused.complaint.splitlines()) == 1


def test_a_budget_holds_for_each_group_of_each_prompt(told: Callable[..., Outcome]) -> None:
    done = told(TWO, "budget.nfe=100", "report=false")
    assert 50 < done.metrics["nfe/weighted/group"] <= 100


@pytest.mark.parametrize("mode", ["search", "noise_smc", "das"])
def test_modes_run_with_prompts(told: Callable[..., Outcome], mode: str) -> None:
    done = told(TWO, f"mode={mode}", "lookahead=flowmap1", "report=false")
    assert done.status == 0, done.err
    assert done.metrics["population/groups"] == 4


def test_decoded_pictures_are_seen(fmtt: Callable[..., Outcome], folder_of_configs: str) -> None:
    done = fmtt(folder_of_configs, "model=decoded", "reward=symmetry", "logger=csv")
    assert done.status == 0, done.err
    arrays = load_file(done.folder / "samples.safetensors")
    assert arrays["samples"].shape == (2, 8, 2)
    assert arrays["decoded"].shape == arrays["base_decoded"].shape == (2, 8, 1, 4, 4)
    assert load_file(done.folder / "film.safetensors")["landing"].shape[-3:] == (1, 4, 4)
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["nfe/decode"] >= metrics["nfe/reward"] > 0 and metrics["nfe/decode_backward"] > 0
    assert "exact/log_z" not in metrics  # the law is that of the latents
    assert (done.folder / "pictures" / "0.png").is_file()


def test_a_folder_of_a_user_can_bring_weights(fmtt: Callable[..., Outcome], folder_of_configs: str) -> None:
    own = fmtt(folder_of_configs, "reward=quadratic", "mode/weights=mine", "report=false", folder="own")
    word = fmtt(folder_of_configs, "reward=quadratic", "mode.weights=mine", "report=false", folder="word")
    right = fmtt("reward=quadratic", "mode.weights=kernel", "report=false", folder="right")
    assert own.status == word.status == 0, word.err
    assert own.metrics["log_z"] == word.metrics["log_z"] != right.metrics["log_z"]


def test_the_texts_of_the_test_model() -> None:
    assert set(MEANS) == {"left", "right", "up"}
