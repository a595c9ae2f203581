"""A tiny FLUX.3 klein and a tiny vision-language model, from the command line."""

from __future__ import annotations

import csv
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fmtt.methods.loop import State
from fmtt.methods.noise_opt import NoiseAscent
from fmtt.methods.rounds import Rounds
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
        weights = {"model.repository": klein, "reward.repository": viewer}
        named = [f"{key}={where}" for key, where in weights.items() if not any(key in word for word in words)]
        return fmtt(
            "model=flux3_klein", "model.height=16", "model.width=24", "lookahead=flowmap1",
            "reward=vlm", 'reward.question="Does the clock show exactly 4:45?"',
            'prompt="An analog clock showing exactly 4:45"', "population.groups=1", "population.particles=2",
            "sampler.steps=3", *named, *words, small=False, folder=folder,
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


@pytest.mark.parametrize("mode", MODES)
def test_a_run_is_tracked(tilted: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = tilted("logger=wandb", f"mode={mode}", "baseline=false", "report=false")
    assert done.status == 0, done.err
    assert list(done.folder.rglob("*.wandb"))


LOOPS = {"noise_opt": NoiseAscent, "multi_best_of_n": Rounds}


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "viewer"])
def test_weights_that_changed_since_the_checkpoint_are_refused(
    tilted: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, klein: str, viewer: str, part: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(viewer if part == "viewer" else klein, own)
    setting = "reward" if part == "viewer" else "model"
    words = (f"{setting}.repository={own}", "baseline=false", "report=false")
    with interrupted(monkeypatch, Trajectory, step=2):
        assert tilted(*words).status == 1
    (file,) = (own if part == "viewer" else own / part).glob("*.safetensors")
    tensors = load_file(file)
    name = max(tensors, key=lambda name: tensors[name].numel())
    tensors[name] *= 1.5
    save_file(tensors, file, metadata={"format": "pt"})
    done = tilted(*words, "resume=true")
    assert done.status == 2
    assert f"the weights in {setting}.repository={own}" in done.complaint
    assert "are others than at the checkpoint" in done.complaint


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_was_stopped_goes_on(
    tilted: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    words = (f"mode={mode}", "baseline=false", "report=false")
    whole = tilted(*words, folder="whole")
    with interrupted(monkeypatch, LOOPS.get(mode, Trajectory), step=2):
        broken = tilted(*words, folder="broken")
    assert broken.status == 1 and "resume=true" in broken.complaint
    resumed = tilted(*words, "resume=true", folder="broken")
    assert resumed.status == 0, resumed.err
    expected, found = (load_file(done.folder / "samples.safetensors") for done in (whole, resumed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    tilted: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """By SIGKILL in its second step, in a process of its own, which begins with what this one has imported."""
    words, loop = (f"mode={mode}", "checkpoint.every=1", "report=false", "baseline=false"), LOOPS.get(mode, Trajectory)
    begun, unbroken, here = [], loop.step, os.getpid()
    whole = tilted(*words, folder="whole")

    def step(self: object, state: State) -> State:
        begun.append(state.step)
        if state.step == 1 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return unbroken(self, state)

    monkeypatch.setattr(loop, "step", step)
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=tilted, args=words, kwargs={"folder": "killed"}, daemon=True)
    process.start()
    process.join(60)
    folder = whole.folder.with_name("killed")
    assert process.exitcode == -signal.SIGKILL and len(list(folder.glob("checkpoint-*.pt"))) == 1
    resumed = tilted(*words, "resume=true", folder="killed")
    assert resumed.status == 0, resumed.err
    assert begun[0] == 1, "it goes on from the last checkpoint"
    assert resumed.metrics["nfe/forward"] == whole.metrics["nfe/forward"]
    for name in ("samples.safetensors", "history.csv"):
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert not list(folder.glob("checkpoint-*"))


CANNOT = "fmtt: sampler.chi: its Laplacian cannot pass through"
CHI = ("mode=importance", "mode.weights=jarzynski", "sampler/chi=paper")


@pytest.mark.parametrize("word", ["model.checkpointing=true", "offload=true"])
def test_a_laplacian_through_layers_that_compute_again_is_refused_in_one_line(
    tilted: Callable[..., Outcome], word: str
) -> None:
    assert said(tilted(*CHI, word)).startswith(f"{CANNOT} layers that compute again")


def test_a_laplacian_through_operations_without_one_is_refused_in_one_line(
    fmtt: Callable[..., Outcome], klein: str
) -> None:
    size = (f"model.repository={klein}", "model.height=16", "model.width=24", "population.particles=2")
    done = fmtt("model=flux3_klein", *size, "reward=symmetry", "prompt=[a cat]", "sampler.steps=3", *CHI, small=False)
    assert said(done).startswith(f"{CANNOT} this model or reward (view size is not compatible")


def said(done: Outcome) -> str:
    """The line with which a run was refused, which names a way out."""
    (line,) = [line for line in done.complaint.splitlines() if line.startswith("fmtt:")]
    return line if done.status == 2 and line.endswith("use sampler/chi=zero") else f"status {done.status}: {line}"
