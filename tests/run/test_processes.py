"""Several processes hold one run together: the results of one process, and one line for an error of any of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import fmtt
from fmtt import modes
from fmtt.api import Result
from fmtt.flow.batches import Batches, Processes
from fmtt.flow.protocols import Velocity
from tests.support import GAUSSIAN, REWARDS

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "model=gmm", "reward=quadratic", "lookahead=flowmap1", "population.groups=4", "population.particles=8",
    "population.chunk=4", "sampler.steps=5", "logger=none", "report=false",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A process that is a thread: what the others made lies in ``shares``."""

    rank: int
    count: int
    shares: list[Any]
    wait: Callable[[], object]

    def exchange(self, compute: Callable[[], list[Any]]) -> list[Any]:
        self.shares[self.rank] = compute()
        self.wait()
        found = [one for share in self.shares for one in share]
        self.wait()
        return found


@dataclass
class Threads:
    """``count`` processes that are threads."""

    count: int
    barrier: threading.Barrier = field(init=False)

    def run(self, task: Callable[[Processes], Result]) -> list[Result]:
        wait, shares = threading.Barrier(self.count, timeout=60).wait, [None] * self.count
        found: list[Result | None] = [None] * self.count

        def of(rank: int) -> None:
            found[rank] = task(Place(rank, self.count, shares, wait))

        threads = [threading.Thread(target=of, args=(rank,)) for rank in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [result for result in found if result is not None]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 32, 33])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_row_is_computed_by_one_process(rows: int, count: int) -> None:
    for chunk in (None, 1, 4, 100):
        shares = [Batches(chunk, processes=Place(rank, count, [], list))._share(rows) for rank in range(count)]
        computed = [row for first, last, _ in shares for row in range(first, last)]
        assert computed == list(range(rows))
        most = {size for *_, size in shares}
        assert len(most) == 1 and most.pop() <= (chunk or rows)


MODES = {
    "importance": modes.importance,
    "search": modes.search,
    "das": modes.das,
    "diamond": partial(modes.diamond, samples=2),
    "noise_smc": partial(modes.noise_smc, move="hmc"),
    "noise_opt": modes.noise_opt,
    "multi_best_of_n": modes.multi_best_of_n,
    "auto": modes.auto,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("groups", "particles"), [(3, 8), (1, 24)])
def test_results_are_those_of_one_process(mode: str, groups: int, particles: int) -> None:
    """To the last bit, since all batches are the same; of a single large group, too."""

    def result(processes: Processes | None = None, model: Velocity = GAUSSIAN) -> Result:
        more = {} if processes is None else {"processes": processes}
        run = fmtt.assemble(
            model, REWARDS["quadratic"], mode=MODES[mode], steps=4, groups=groups, particles=particles, chunk=4, **more
        )
        with torch.no_grad():
            return fmtt.finish(run, run.loop.last())

    alone, (first, second) = result(), Threads(2).run(result)
    for name in ("samples", "log_weights", "rewards", "selected", "log_z", "ancestors"):
        for one in (first, second):
            assert torch.equal(getattr(one, name), getattr(alone, name)), name
    for name, count in alone.meter.counts.items():
        tried = mode == "auto" and name == "reward"  # each asks by itself whether the reward has a gradient
        assert first.meter.counts[name] + second.meter.counts[name] == count + tried
        assert not count or first.meter.counts[name] < count, "each of them computes a share"


def command(folder: Path, *words: str, program: Sequence[str] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
    flags = [word for word in words if word.startswith("-")]  # Hydra wants them first
    settings = [*SMALL, *(word for word in words if word not in flags), f"hydra.run.dir={folder}"]
    arguments = [*program, str(ROOT / "run.py"), *flags, *settings]
    here = folder.parent / "here"
    here.mkdir(exist_ok=True)
    paths = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=here, env=os.environ | paths, timeout=300)
    assert not list(here.iterdir()), "nothing is left where the command was typed"
    return done


def results(folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if not name.startswith(("time/", "memory/"))}


TORCHRUN = (str(Path(sys.executable).parent / "torchrun"), "--nproc-per-node=2")


@pytest.mark.parametrize("program", [(sys.executable,), TORCHRUN], ids=["fabric", "torchrun"])
def test_two_processes_leave_what_one_leaves(tmp_path: Path, program: tuple[str, ...]) -> None:
    one = command(tmp_path / "one", "device=cpu")
    two = command(tmp_path / "two", "devices=2", "device=cpu", program=program)
    assert one.returncode == two.returncode == 0, two.stderr
    for name in ("samples.safetensors", "history.csv", "returned.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert results(tmp_path / "one") == results(tmp_path / "two")
    again = command(tmp_path / "one", "devices=2", "device=cpu", "resume=true")  # any number of them goes on
    assert again.returncode == 0 and "already done" in again.stdout


@pytest.mark.parametrize(
    ("calls", "complaint"),
    [
        (0, "ArithmeticError: only here"),
        (6, "ArithmeticError: only here"),
        (-1, "another process of the run has ended"),
    ],
)
def test_an_error_of_one_process_is_one_line(tmp_path: Path, calls: int, complaint: str) -> None:
    folder = tmp_path / "my" / "reward"
    folder.mkdir(parents=True)
    ends = calls < 0
    (folder / "lonely.yaml").write_text(
        f"_target_: tests.lonely_faults.Lonely\ncalls: {6 if ends else calls}\nends: {str(ends).lower()}\n"
    )
    words = (f"--config-dir={tmp_path / 'my'}", "trust=[tests]", "reward=lonely", "devices=2", "device=cpu")
    done = command(tmp_path / "run", *words)
    said = [line for line in done.stderr.splitlines() if line.startswith("fmtt: ")]
    assert done.returncode in (1, 2) and len(said) == 1 and complaint in said[0], done.stderr
    assert "Traceback" not in done.stderr


def test_one_process_goes_on_from_the_checkpoint_of_two(tmp_path: Path) -> None:
    folder = tmp_path / "my" / "reward"
    folder.mkdir(parents=True)
    (folder / "lonely.yaml").write_text("_target_: tests.lonely_faults.Lonely\ncalls: 14\n")
    words = (f"--config-dir={tmp_path / 'my'}", "trust=[tests]", "reward=lonely", "device=cpu", "baseline=false")
    whole = command(tmp_path / "whole", *words)
    stopped = command(tmp_path / "run", *words, "devices=2")
    assert stopped.returncode == 1 and len(list((tmp_path / "run").glob("checkpoint-*.pt"))) == 1, stopped.stderr
    resumed = command(tmp_path / "run", *words, "resume=true")
    assert whole.returncode == resumed.returncode == 0, resumed.stderr
    assert "no checkpoint" not in resumed.stderr
    for name in ("samples.safetensors", "history.csv", "returned.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert results(tmp_path / "whole") == results(tmp_path / "run")


def test_a_sweep_needs_processes_that_are_there(tmp_path: Path) -> None:
    done = command(tmp_path / "run", "-m", "devices=2", "device=cpu", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert done.returncode == 2
    assert "devices=2: a sweep needs a launcher with tasks: launcher=slurm hydra.launcher" in done.stderr
