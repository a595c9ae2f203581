"""``mode=fmrg`` goes on with one of its starts: its page, its pictures, and what a stop leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.torch import load_file

from fmtt.report.run.samples_picture import Panel
from tests.cli.test_stops import computed, signalled
from tests.command import Outcome

WORDS = ("mode=fmrg", "mode.warmup=2", "sampler.steps=6", "baseline=true")


def test_a_run_that_stops_after_its_warmup_goes_on(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fmtt(*WORDS, folder="whole")
    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGINT)
        assert fmtt(*WORDS, folder="broken").status == 1
    assert computed(fmtt(*WORDS, "resume=true", folder="broken")) == computed(whole)
    assert load_file(whole.folder / "samples.safetensors")["samples"].shape[:2] == (2, 1)
    film = load_file(whole.folder / "film.safetensors")
    alive = [len(frame[0].unique()) for frame in film["ancestors"]]
    assert alive == [8, 8, 1, 1, 1, 1, 1]


def test_pictures_are_drawn_of_the_one_that_is_left(fmtt: Callable[..., Outcome]) -> None:
    sizes = ("population.groups=2", "population.particles=3")
    done = fmtt(*WORDS, *sizes, "model=mnist", "reward=symmetry", "sampler.steps=4", small=False)
    assert (done.status, done.complaint) == (0, "")
    assert {path.name for path in (done.folder / "pictures").iterdir()} == {"0.png", "1.png"}


def test_base_samples_beside_them_are_those_of_the_same_noise() -> None:
    base = Panel("base", np.arange(12.0).reshape(2, 3, 2), np.zeros((2, 3)))
    assert base.of(np.array([[2], [0]])).samples.tolist() == [[[4, 5]], [[6, 7]]]
