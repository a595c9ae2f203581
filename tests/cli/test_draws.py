"""``draws=device``: other numbers, which are as reproducible; runs that are older than the setting stay done."""

from __future__ import annotations

from collections.abc import Callable

from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch import Tensor

from fmtt.run.checkpoint import digest
from tests.command import Outcome


def samples(done: Outcome) -> Tensor:
    assert (done.status, done.complaint) == (0, "")
    return load_file(done.folder / "samples.safetensors")["samples"]


def test_numbers_of_the_device_are_others_and_come_again(fmtt: Callable[..., Outcome]) -> None:
    host = samples(fmtt("report=false", folder="host"))
    first, second = (samples(fmtt("draws=device", "report=false", folder=name)) for name in ("first", "second"))
    assert first.equal(second)
    assert (host != first).all()


def test_a_chunk_does_not_change_them(fmtt: Callable[..., Outcome]) -> None:
    whole = samples(fmtt("draws=device", "report=false", folder="whole"))
    parts = samples(fmtt("draws=device", "report=false", "population.chunk=3", folder="parts"))
    assert (whole - parts).abs().max() < 1e-5


def test_runs_from_before_the_setting_count_as_the_same() -> None:
    before, now, other = (
        OmegaConf.create({"seed": 0, **more}) for more in ({}, {"draws": "host"}, {"draws": "device"})
    )
    assert digest(before) == digest(now) != digest(other)


def test_another_place_is_refused(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("draws=gpu")
    assert (done.status, done.complaint) == (2, "fmtt: draws=gpu: must be one of host, device")
