"""A tiny FLUX.3 klein and a tiny vision-language model, from the command line."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fmtt.methods.trajectory import Trajectory
from tests.cli.test_resume import interrupted
from tests.command import Outcome
from tests.t2i.tiny_vlm import save_vlm

pytestmark = pytest.mark.filterwarnings("ignore")
MODES = {  # how many gradients each takes, if any
    "search": True, "importance": True, "noise_opt": True, "fmrg": True, "multi_best_of_n": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_vlm("qwen3_vl", tmp_path_factory.mktemp("viewer"))


@pytest.fixture
def tilted(fmtt: Callable[..., Outcome], klein: str, viewer: str) -> Callable[..., Outcome]:
    """The command of the README on tiny weights."""

    def command(*words: str, folder: str = "run") -> Outcome:
        return fmtt(
            "model=flux3_klein", f"model.repository={klein}", "model.height=16", "model.width=24", "lookahead=flowmap1",
            "reward=vlm", f"reward.repository={viewer}", 'reward.question="Does the clock show exactly 4:45?"',
            'prompt="An analog clock showing exactly 4:45"', "population.groups=1", "population.particles=2",
            "sampler.steps=3", *words, small=False, folder=folder,
        )  # fmt: skip

    return command


@pytest.mark.parametrize("mode", MODES)
def test_a_method_leaves_pictures_a_page_and_counts(tilted: Callable[..., Outcome], mode: str) -> None:
    done = tilted(f"mode={mode}")
    assert done.status == 0, done.err
    assert (done.metrics["nfe/backward"] > 0) == MODES[mode] == (done.metrics["nfe/reward_backward"] > 0)
    assert done.metrics["nfe/decode"] > 0
    with Image.open(next((done.folder / "pictures").glob("*.png"))) as picture:
        assert picture.mode == "RGB"
    assert "An analog clock showing exactly 4:45" in (done.folder / "report.html").read_text()
    with (done.folder / "prompts.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["text"] == "An analog clock showing exactly 4:45"


def test_a_run_is_tracked(tilted: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = tilted("logger=wandb", "mode=search")
    assert done.status == 0, done.err
    assert list(done.folder.rglob("*.wandb"))


def test_a_run_that_was_stopped_goes_on(tilted: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tilted("mode=search", folder="whole")
    with interrupted(monkeypatch, Trajectory, step=2):
        broken = tilted("mode=search", folder="broken")
    assert broken.status == 1 and "resume=true" in broken.complaint
    resumed = tilted("mode=search", "resume=true", folder="broken")
    assert resumed.status == 0, resumed.err
    expected, found = (load_file(done.folder / "samples.safetensors") for done in (whole, resumed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_laplacian_through_checkpointed_layers_is_refused_in_one_line(tilted: Callable[..., Outcome]) -> None:
    done = tilted("mode=importance", "mode.weights=jarzynski", "model.checkpointing=true", "sampler/chi=paper")
    assert done.status == 2
    (line,) = [line for line in done.complaint.splitlines() if line.startswith("fmtt:")]
    assert line.startswith("fmtt: sampler.chi: its Laplacian cannot pass through layers that compute again")
