"""The weights of a run are counted, wherever they are; so is what a long run writes down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import fmtt
from fmtt.api import Run, assemble
from fmtt.flow.memory import Memory
from fmtt.flow.meter import Meter, MeteredReward
from fmtt.flow.protocols import as_reward
from fmtt.run import memory
from fmtt.run.memory import ROW, Estimate, estimate, refuse_long, shares
from fmtt.run.memory_weights import in_files, mapped_regions, nbytes, taken_in, tensors_of
from tests.command import Outcome

CPU, GIB = torch.device("cpu"), 2**30
WIDE = 5000
BYTES = 4 * 2 * WIDE  # of a matrix


def storages(*tensors: Tensor) -> list[torch.UntypedStorage]:
    return [tensor.untyped_storage() for tensor in tensors]


def test_what_was_there_before_and_is_used_is_given() -> None:
    weight, other, x = torch.ones(10), torch.ones(20), torch.ones(10)
    with Memory(x) as seen:
        made = x * weight
        made + weight[2:3]
        assert nbytes(seen.given.values(), CPU) == 40, "once, and neither what is made nor what is apart"
        other + 1
    assert nbytes(seen.given.values(), CPU) == 120
    assert nbytes(seen.given.values(), torch.device("cuda")) == 0


def run_of(velocity: Tensor, flow_map: Tensor, decoder: Tensor, render: Tensor, judge: Tensor) -> Run:
    """A model on two numbers each of whose parts has a matrix of its own, (2, W) or its transpose."""

    def through(matrix: Tensor) -> Callable[..., Tensor]:
        return lambda x, *times: (x @ matrix) @ matrix.T / matrix.shape[1]

    flow = fmtt.Flow(
        (2,), through(velocity), through(flow_map), decode=lambda x: x @ decoder, render=lambda x: x @ render
    )
    look_ahead = partial(fmtt.FlowMapJumps, steps=1)
    return assemble(flow, lambda x: (x * judge).sum(1), look_ahead=look_ahead, groups=1, particles=2, steps=2)


@pytest.mark.parametrize("gradient", [True, False])
def test_every_part_has_its_weights(gradient: bool) -> None:
    run = run_of(*(torch.ones(2, WIDE * k) for k in (1, 2, 3, 4)), torch.ones(3 * WIDE))
    seen = torch.ones(4 * WIDE)
    judged = MeteredReward(as_reward(lambda x: (x * seen).sum(1)), Meter())
    with torch.no_grad():
        plain, told = estimate(run, gradient), estimate(run, gradient, held_out=judged)
    expected = {"velocity": BYTES, "look-ahead": 2 * BYTES, "decoder": 3 * BYTES, "reward": 1.5 * BYTES}
    assert plain.weights == expected | {"final samples": 4 * BYTES}
    assert told.weights == expected | {"final samples": 6 * BYTES}
    assert plain.mapped == 0


def test_weights_that_two_parts_share_count_once() -> None:
    shared = torch.ones(2, WIDE)
    run = run_of(shared, shared, shared, shared, torch.ones(WIDE))
    assert estimate(run, False).weights == {
        "look-ahead": BYTES, "decoder": 0, "reward": BYTES / 2, "velocity": 0, "final samples": 0
    }  # fmt: skip


def test_what_a_velocity_needs_is_counted() -> None:
    """It has guidance, say, and shows each sample several times."""
    small = fmtt.Flow((2,), lambda x, t: -x, lambda x, s, t: 2 * x)
    large = replace(small, velocity=lambda x, t: x.repeat(1, 500).exp()[:, :2])
    few, many = (estimate(assemble(flow, lambda x: x.sum(1)), False).sample for flow in (small, large))
    assert few < 100 and 8000 <= many < 8100, "4,000 bytes before and after the exponential"


def test_a_held_out_reward_needs_memory_too() -> None:
    run = assemble(fmtt.Flow((2,), lambda x, t: -x, lambda x, s, t: 2 * x), lambda x: x.sum(1))
    judged = MeteredReward(as_reward(lambda x: x.repeat(1, 500).exp().sum(1)), Meter())
    few, many = (estimate(run, False, held_out=reward).sample for reward in (None, judged))
    assert few < 100 and 8000 <= many < 8100


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file({"weight": torch.ones(2, WIDE), "other": torch.ones(7)}, path := tmp_path / "weights.safetensors")
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which memory is of a file")
def test_weights_that_lie_in_a_file_are_found(file: Path) -> None:
    tensors = load_file(file)
    own = [tensors["weight"].clone(), torch.zeros(WIDE), torch.zeros(0)]
    assert in_files(storages(tensors["weight"], *own)) == BYTES
    assert in_files(storages(*own)) == 0
    run = run_of(*(torch.ones(2, WIDE) for _ in range(3)), tensors["weight"], torch.ones(WIDE))
    assert estimate(run, True).mapped == BYTES


def test_regions_of_files_are_those_on_a_disk() -> None:
    maps = (
        "7f10-7f20 rw-p 00000000 08:01 123 /a folder/weights.safetensors\n"
        "1000-2000 r--p 00000000 08:01 9 /usr/lib/libc.so\n"
        "3000-4000 rw-s 00000000 00:05 7 /dev/shm/torch (deleted)\n"
        "5000-6000 rw-p 00000000 00:00 0 \n"
        "6000-7000 rw-p 00000000 00:00 0 [heap]\n"
    )
    assert mapped_regions(maps) == [(0x1000, 0x2000), (0x7F10, 0x7F20)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which memory is of a file")
def test_weights_in_files_are_no_room_for_batches(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine says that their memory is free."""
    weight = load_file(file)["weight"]
    for matrix, fits in ((weight.clone(), True), (weight, False)):
        run = run_of(matrix, matrix, matrix, matrix, torch.ones(WIDE))
        needs = estimate(run, run.loop.uses_gradient)
        free = needs.batch(2) / memory.SAFE + run.problem.particles * needs.picture + 1
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        if fits:
            memory.make_room(run, None)
            assert run.problem.tilt.batches.room.most is None
        else:
            with pytest.raises(ValueError, match=r"needs .* are free"):
                memory.make_room(run, 2)


def test_a_line_says_what_weights_take() -> None:
    needs = Estimate({"look-ahead": GIB}, 0, GIB, weights={"look-ahead": 2 * GIB, "decoder": 0, "reward": GIB})
    assert shares(needs, 5 * GIB) == (
        "one sample needs 1 GiB (look-ahead 1 GiB); weights take 3 GiB (look-ahead 2 GiB, reward 1 GiB),"
        " and 5 GiB are free beside"
    )


class Model:
    """A model with two networks that share one."""

    def __init__(self) -> None:
        shared = nn.BatchNorm1d(10)  # 10 weights, 10 biases, 20 statistics and a count of 8 bytes
        self.networks = (shared, nn.Sequential(nn.Linear(10, 10), shared))


def test_weights_in_another_type_are_foretold() -> None:
    assert taken_in(Model(), torch.float32) == 4 * 150 + 8 == sum(value.nbytes for value in tensors_of(Model()))
    assert taken_in(Model(), torch.bfloat16) == 2 * 150 + 8
    assert taken_in(object(), torch.float32) == 0


def test_on_a_cpu_weights_that_grow_too_large_are_refused_before(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fmtt.run.placement.free_memory", lambda device: 2**20)
    refused = fmtt("model=mnist", "precision=64-true", "reward=symmetry", "report=false", small=False)
    assert refused.status == 2
    assert refused.complaint.startswith("fmtt: memory: the weights of the model need 0.016"), refused.complaint
    assert refused.complaint.endswith(
        "and do not fit, and 0.000977 GiB are free on cpu; precision=bf16-true would need less"
    )


def test_a_history_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * GIB)
    most = int(memory.SAFE * 2 * GIB / ROW)
    refuse_long(most)
    line = rf"^sampler\.steps={most + 1}: the history needs 1\.8 GiB, and 2 GiB are free; sampler\.steps={most} fits$"
    with pytest.raises(ValueError, match=line):
        refuse_long(most + 1)


def test_the_command_line_refuses_a_history(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: GIB)
    done = fmtt("sampler.steps=1000000", "report=false")
    assert done.status == 2 and done.complaint.startswith("fmtt: sampler.steps=1000000: the history needs 1.91 GiB")


def test_a_row_of_a_history_takes_what_is_foretold(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fmtt.run import metrics

    rows, unbroken = [], metrics.history_row

    def noted(*given: object) -> dict[str, float]:
        rows.append(unbroken(*given))
        return rows[-1]

    monkeypatch.setattr(metrics, "history_row", noted)
    assert fmtt("sampler.steps=3", "mode=search", "sampler/chi=paper", "report=false").status == 0
    sizes = [sys.getsizeof(row) + sum(map(sys.getsizeof, row.values())) for row in rows]
    assert len(rows) == 3 and ROW / 4 < max(sizes) < ROW / 1.5, "and as much again as text"


PROGRAM = """
import sys, torch, fmtt
from fmtt.api import assemble
from fmtt.run.memory import estimate, measured

def kib(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

torch.set_num_threads(1)
size = 3
before = kib("VmRSS")
first, last = (torch.full((2**23,), 0.01) for _ in range(2))

def flow_map(x, s, t):  # without products of matrices, for which libraries need memory of their own
    return x + ((x.sum(1, keepdim=True) * first).sigmoid() * last).mean(1, keepdim=True)

flow = fmtt.Flow((32,), lambda x, t: -x, flow_map)
run = assemble(flow, lambda x: x.square().sum(1), groups=1, particles=2, steps=2)
measured(run, size, True)
peak = 1024 * (kib("VmHWM") - before)
needs = estimate(run, True)
print(peak, sum(needs.weights.values()), needs.batch(size))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process has taken at most")
def test_a_process_takes_what_is_foretold() -> None:
    """Weights of 64 MiB, and 96 MiB for each of several tensors of a batch: what the machine counts."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    peak, weights, batch = map(int, done.stdout.split())
    assert weights == 2**26 and batch > 2**27
    assert 0.85 * (weights + batch) < peak < 1.25 * (weights + batch) + 2**24
