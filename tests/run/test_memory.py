"""What a run needs is known before it starts, and what does not fit is cut or refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

import fmtt
from fmtt.api import Run, assemble
from fmtt.flow.memory import Memory
from fmtt.models.learned import load_flow_map
from fmtt.rewards.geometry import Symmetry
from fmtt.run import memory
from fmtt.run.memory import Estimate, estimate, largest_batch, measured
from tests.command import Outcome

GIB = 2**30


@pytest.fixture(scope="module")
def run() -> Run:
    look_ahead = partial(fmtt.FlowMapJumps, steps=2)
    return assemble(load_flow_map("mnist"), Symmetry(), look_ahead=look_ahead, groups=2, particles=4, steps=2)


def test_bytes_are_counted_while_tensors_live() -> None:
    before = torch.zeros(1000)
    with Memory() as seen:
        view = before[10:20]
        assert seen.now == 0, "a view of what was there before takes nothing"
        double = 2 * before
        assert seen.now == 4000
        inside = double.view(10, 100)
        assert seen.now == 4000
        del double, inside
        assert (seen.now, seen.most) == (0, 4000)
        one = view + 1
        view + 2  # gone at once
    assert (seen.now, seen.most) == (40, 4000)
    del one
    assert seen.now == 0


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("size", [5, 16])
def test_larger_batches_need_what_was_foretold(run: Run, gradient: bool, size: int) -> None:
    assert estimate(run, gradient).batch(size) == pytest.approx(measured(run, size, gradient).most, rel=0.02)


def test_the_gradient_needs_what_the_network_leaves(run: Run) -> None:
    with_it, without = estimate(run, True), estimate(run, False)
    assert with_it.sample > 5 * without.sample
    assert with_it.parts["look-ahead"] > 0.8 * with_it.sample and with_it.parts["decoder"] == 0


def test_a_decoder_has_a_part_of_its_own() -> None:
    wide = fmtt.Flow((2,), lambda x, t: -x, lambda x, s, t: 2 * x, decode=lambda x: x.repeat(1, 500).exp())
    parts = estimate(assemble(wide, lambda x: x.sum(1)), True).parts
    assert parts["decoder"] == 4000 and parts["look-ahead"] < 50 and parts["reward"] == 4


@pytest.mark.parametrize("gradient", [True, False])
def test_the_decoder_of_the_final_samples_is_counted(gradient: bool) -> None:
    """It is larger than the one that rewards see through, and a run would end after its last step."""
    plain = fmtt.Flow((2,), lambda x, t: -x, lambda x, s, t: 2 * x, decode=lambda x: x.exp())
    fine = replace(plain, render=lambda x: x.repeat(1, 500).exp())
    few, many = (estimate(assemble(flow, lambda x: x.sum(1)), gradient).sample for flow in (plain, fine))
    assert few < 100 and 8000 <= many < 8100, "4,000 bytes before and after the exponential"


@pytest.mark.parametrize("render", [False, True])
def test_decoded_pictures_of_all_particles_are_counted(monkeypatch: pytest.MonkeyPatch, render: bool) -> None:
    """They are kept at the end: the larger their number, the smaller the batches."""
    plain = fmtt.Flow((2,), lambda x, t: -x, lambda x, s, t: 2 * x, decode=lambda x: x.repeat(1, 5000))
    flow = replace(plain, decode=lambda x: x.repeat(1, 5), render=plain.decode) if render else plain
    run = assemble(flow, lambda x: x.sum(1), look_ahead=fmtt.Denoiser, groups=3, particles=10)
    needs = estimate(run, True)
    assert needs.picture == 40_000
    assert estimate(assemble(replace(flow, decode=None, render=None), lambda x: x.sum(1)), True).picture == 0
    free = needs.batch(8) / memory.SAFE + 30 * needs.picture + 100
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    memory.make_room(run, None)
    assert run.problem.tilt.batches.room.most == 8


def test_the_largest_batch_is_what_fits() -> None:
    needs = Estimate({"look-ahead": GIB, "decoder": 0, "reward": GIB}, fixed=GIB, sample=2 * GIB)
    assert largest_batch(needs, 4, typed=True, free=10 * GIB, less="; a or b") == 4
    assert largest_batch(needs, 8, typed=False, free=10 * GIB, less="; a or b") == 4
    line = r"population\.chunk=8: needs 17 GiB, and 10 GiB are free; population\.chunk=4 fits"
    with pytest.raises(ValueError, match=line):
        largest_batch(needs, 8, typed=True, free=10 * GIB, less="; a or b")
    line = (
        r"^memory: one sample needs 3 GiB \(look-ahead 1 GiB, decoder 0 GiB, reward 1 GiB\);"
        r" weights take nothing, and 2 GiB are free beside; a or b$"
    )
    with pytest.raises(ValueError, match=line):
        largest_batch(needs, 8, typed=False, free=2 * GIB, less="; a or b")


def tight(most: int) -> fmtt.Flow:
    """A model on a device that holds the batches of ``most`` samples, as a GPU would say it."""

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if len(x) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return -x

    return fmtt.Flow((2,), velocity)


@pytest.mark.parametrize(("most", "size"), [(1, None), (1, 1), (1, 8), (2, 1)])
def test_batches_of_one_are_used_where_two_do_not_fit_or_are_not_wanted(most: int, size: int | None) -> None:
    run = assemble(tight(most), lambda x: x.sum(1), look_ahead=fmtt.Denoiser, groups=2, particles=4)
    needs = estimate(run, True, size)
    assert needs.fits(GIB) == 1 and needs.fits(needs.batch(1) - 1) == 0
    assert needs.batch(1) == measured(run, 1, True).most


def test_one_sample_that_does_not_fit_beside_the_weights_is_refused_in_one_line() -> None:
    run = assemble(tight(0), lambda x: x.sum(1), look_ahead=fmtt.Denoiser, groups=2, particles=4)
    with pytest.raises(
        ValueError, match=r"^memory: one sample does not fit beside the weights, and .* are free; a or b$"
    ):
        estimate(run, True, less="; a or b")


def test_weights_that_do_not_fit_are_refused_in_one_line(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("fmtt.run.placement.moved", full)
    refused = fmtt(*SMALL, small=False)
    assert refused.status == 2
    assert refused.complaint.startswith("fmtt: memory: the weights of the model need 0.00")
    assert (
        refused.complaint.endswith("; precision=bf16-true would need less") and len(refused.complaint.splitlines()) == 1
    )


SMALL = ("model=mnist", "reward=symmetry", "lookahead=flowmap1", "sampler.steps=2", "logger=none", "report=false",
         "population.groups=1", "population.particles=6")  # fmt: skip


def test_a_run_is_cut_to_what_fits_with_the_same_result(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    whole = fmtt(*SMALL, small=False, folder="whole")
    needs, seen = estimate(run, True), list[int]()
    monkeypatch.setattr(memory, "free_memory", lambda device: needs.batch(2) / memory.SAFE + 1)
    largest = memory.largest_batch

    def noted(*given: object) -> int:
        seen.append(largest(*given))
        return seen[-1]

    monkeypatch.setattr(memory, "largest_batch", noted)
    cut = fmtt(*SMALL, small=False, folder="cut")
    assert (whole.status, cut.status) == (0, 0), cut.err
    assert 1 < seen[0] < 6
    expected, found = (load_file(done.folder / "samples.safetensors") for done in (whole, cut))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_refused_in_one_line(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 20 * 2**20)
    refused = fmtt(*SMALL, "population.chunk=6", "population.particles=60", small=False)
    assert refused.status == 0, refused.err
    refused = fmtt(*SMALL, "population.chunk=60", "population.particles=60", small=False)
    assert refused.status == 2 and refused.complaint.startswith("fmtt: population.chunk=60: needs 0.")
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**20)
    complaint = fmtt(*SMALL, small=False).complaint
    assert "memory: one sample needs 0.00" in complaint and "GiB are free beside; a mode without grad" in complaint


def test_users_are_told_what_large_samples_need(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "batches of" not in fmtt(*SMALL, small=False, folder="small").err
    monkeypatch.setattr(memory, "LARGE", 1)
    (line,) = [line for line in fmtt(*SMALL, small=False).err.splitlines() if "batches of" in line]
    assert re.fullmatch(
        r"fmtt: note: batches of 6 samples need [\d.e-]+ GiB; one sample needs [\d.e-]+ GiB"
        r" \(look-ahead [\d.e-]+ GiB, decoder 0 GiB, reward [\d.e-]+ GiB\);"
        r" weights take [\d.e-]+ GiB \(look-ahead [\d.e-]+ GiB\), and [\d.]+ GiB are free beside",
        line,
    ), line
