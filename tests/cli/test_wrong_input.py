"""What was accepted without a word, or ended in a traceback, gets one line and status 2."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from fmtt.run.cli import main
from tests.command import SMALL, Outcome

CASES = {
    # a choice that is none
    "sampler=null": "sampler=null: must be one of default",
    "mode=null": "mode=null: must be one of auto, base, beam",
    "reward=null": "reward=null: must be one of aesthetic, antisymmetry",
    "model=null": "model=null: must be one of clocks, diffusers",
    "lookahead=null": "lookahead=null: must be one of denoiser, diffusion4",
    "logger=null": "logger=null: must be one of csv, none, tensorboard, wandb",
    "logger=[]": "logger=[]: must be one of csv, none, tensorboard, wandb",
    "launcher=null": "launcher=null: must be one of joblib, local",
    "mode=[1,2]": "mode=[1,2]: must be one of auto, base, beam",
    "launcher=3": "launcher=3: must be one of joblib, local",
    "hydra=null": "hydra=null: settings of Hydra have longer names",
    "held_out=3": "held_out=3: write reward@held_out=3",
    # a section that is none
    "population=null": "population=None: must have the settings chunk, groups, particles",
    "checkpoint=null": "checkpoint=None: must have the settings every, seconds",
    "budget=null": "budget=None: must have the settings backward_cost, decode_backward_cost, ",
    # a setting that does not exist
    "+foo=1": "there is no setting 'foo'; allowed are ",
    "++population.foo=1": "there is no setting 'foo' of 'population'; allowed are chunk, groups, particles",
    "+sampler.gird=power": "there is no setting 'gird' of 'sampler'; allowed are beta, chi, damping",
    # sizes
    "population.particles=10000000000": "population: 2 groups of 10000000000 particles need ",
    "population.groups=10000000000": "population: 10000000000 groups of 8 particles need ",
    "budget.nfe=1e15": "population: 2 groups of 83333333333333 particles need ",
    "sampler.steps=100000000000000000000": "sampler.steps=100000000000000000000: must be at most 1000000",
    "lookahead=diffusion4 lookahead.steps=100000000": "lookahead.steps=100000000: must be at most 1000",
    "mode=beam mode.rounds=4": "mode.rounds=4: must be less than the 4 steps of the run",
    "mode=fmrg mode.warmup=4": "mode.warmup=4: must be less than the 4 steps of the run",
    "mode=fmrg mode.warmup=0": "mode.warmup=0: must be a whole number of at least 1",
    "sampler/transport=landing": "sampler.transport=landing: does not follow the model, so that no weights are right",
    # values
    "sampler/epsilon=piloted mode=search": (
        "sampler.epsilon: pilots compare estimates of Z, which this mode does not have; use linear"
    ),
    "sampler/epsilon=piloted mode.weights=material": (
        "sampler.epsilon: pilots need mode.weights=kernel, which have no error of the time step"
    ),
    "sampler/grid=geodesic sampler/start=annealed sampler/beta=from": (
        "sampler.start=annealed: pilots need sampler/start=normal; use schedules without a pilot"
    ),
    "sampler/grid=shifted sampler.grid.mu=1000": "sampler.grid.mu=1000: must lie between -30 and 30",
    "model=gaussian model.std=[1e-308,1]": "model.std=1e-308: must be at least 1e-09",
    "mode=svdd mode.greedy=word": "mode.greedy=word: must be true or false",
    "scale_factor=0": "scale_factor=0: must be positive",
    "role=best": "role=best: must be one of maximise, sample",
    "mode=search role=sample": "role=sample: the particles of this mode follow no known law; use role=maximise",
    "mode=fmrg mode.jacobian=word": "mode.jacobian=word: must be true or false",
    "mode=fmrg mode.window=null": "mode.window=None: must be two increasing times in [0, 1]",
    "mode=wide_search mode.gradient=-1": "mode.gradient=-1: must be one of clipped, normalised, raw, strengthened",
    "model=mnist reward=symmetry model.usual_error=-1": "model.usual_error=-1: must be positive",
    "model=mnist reward=symmetry model.usual_error=nan": "model.usual_error=nan: must be a finite number",
    "mode.resample_at=2": "mode.resample_at=2: must be a rising list of steps, such as [8, 16]",
    "mode.resample_at=[2,1]": "mode.resample_at=[2, 1]: must be a rising list of steps, such as [8, 16]",
    "mode.resample_at=[100]": "mode.resample_at: the run has 4 steps, and 100 is beyond them",
    "model=gmm8 reward=halfplane model.count=0": "model.count=0: must be a whole number of at least 1",
    "model=gmm8 reward=halfplane model.count=2.5": "model.count=2.5: must be a whole number of at least 1",
    "model=gmm8 reward=halfplane model.radius=-1": "model.radius=-1: must be positive",
    "model=ring reward=halfplane model.std=1e-308": "model.std=1e-308: must be at least 1e-05",
    "population.chunk=1e20": "population.chunk=1e+20: must be a whole number of at least 1",
    "population.particles=1e10": "population.particles=10000000000.0: must be a whole number of at least 1",
    # parts that do not fit each other
    "mode=search sampler.epsilon=zero": "sampler.epsilon: the clones of this mode would stay together without noise",
    "reward=quadratic reward.precision=[-1,-1] reward.scale=100": "the reward grows faster than the model's tails fall",
    "model=mnist model.checkpoint=clocks reward=symmetry": "model.evaluator: does not fit samples of shape (1, 32, 32)",
    "model=mnist reward=sum reward.terms.digit=null": "reward.terms.digit=None: must be a reward",
    # words that Hydra reads otherwise
    "prompt=ü": "prompt=ü cannot be read; put its value in two pairs of quotes: 'prompt=\"...\"'",
}  # fmt: skip


@pytest.mark.parametrize("words", CASES)
def test_one_line_says_what_is_wrong(fmtt: Callable[..., Outcome], words: str) -> None:
    done = fmtt(*words.split(" "), "baseline=false", "report=false")
    assert done.status == 2, (done.out, done.err)
    assert done.complaint.startswith(f"fmtt: {CASES[words]}"), done.complaint
    assert len(done.complaint.splitlines()) == 1


def test_the_address_of_a_tracker_is_one(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "notaurl")
    done = fmtt("logger=wandb")
    assert (done.status, done.complaint) == (
        2, "fmtt: WANDB_BASE_URL=notaurl: must be an address such as https://wandb.example.org",
    )  # fmt: skip


def test_a_search_that_leaves_the_model_is_doubted(fmtt: Callable[..., Outcome]) -> None:
    """The tilted ODE with few steps overshoots."""
    done = fmtt("mode=tilted_ode", "reward=quadratic", "reward.scale=40", "sampler.steps=3", "population.groups=8")
    assert done.status == 0 and "worse than those of the base" in " ".join(done.out.split())


@pytest.mark.parametrize("name", ["", "''"])
def test_a_folder_has_a_name(fmtt: Callable[..., Outcome], name: str) -> None:
    done = fmtt(f"hydra.run.dir={name}")
    assert (done.status, done.complaint) == (2, f"fmtt: hydra.run.dir={name}: must be the name of a folder")


def test_a_folder_that_cannot_be_made_is_named(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt(folder="/proc/nowhere/run")
    assert (done.status, done.complaint) == (2, "fmtt: /proc/nowhere: No such file or directory")


def test_what_says_how_many_fit_is_right(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("fmtt.run.build")  # before the memory is another one
    monkeypatch.setattr("fmtt.run.memory.free_memory", lambda device: 2_000)
    done = fmtt("baseline=false", "report=false")
    assert done.status == 2 and done.complaint.endswith("fits"), done.complaint
    fits = done.complaint.split("; ")[1].removesuffix(" fits")
    for other in ("make_room", "refuse_long"):
        monkeypatch.setattr(f"fmtt.run.build.{other}", lambda *given: None)
    assert fits != "population.particles=8" and fmtt(fits, "baseline=false", "report=false").status == 0


def test_names_with_signs_of_other_languages_work_in_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "é=ü x"
    own = ["logger=none", "baseline=false", "report=false", f'hydra.run.dir="{folder}"']
    monkeypatch.setattr("sys.argv", ["run.py", *SMALL, *own])
    GlobalHydra.instance().clear()
    assert main() == 0 and (folder / "metrics.json").is_file()


def test_a_tilted_law_of_which_no_draws_can_be_had_is_sampled_all_the_same(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("model=gmm8", "reward=wavy_ring", "report=false")
    assert done.status == 0, done.err
    assert "exact/log_z" in done.metrics and "mmd" not in done.metrics


def test_flags_may_stand_behind_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (*SMALL, "logger=none", "seed=0,1", "baseline=false", "report=false", f"hydra.sweep.dir={tmp_path}", "-m")
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    GlobalHydra.instance().clear()
    assert main() == 0 and (tmp_path / "compare.html").is_file()
