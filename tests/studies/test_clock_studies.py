"""The studies of clocks, on clocks that are rendered and need no model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from fmtt.data.clocks import DRAWS, HALF_DAY, TEN_PAST_TEN, Looks, Times, render
from fmtt.flow import noise
from fmtt.models.clock_reader import hands, shortfall
from fmtt.studies.clock_law import TimeTilt, by_integral, by_reward, study_clock_law
from fmtt.studies.clocks import study_clocks
from fmtt.training.data import ClockImages
from tests.run_folder import make_run

SIZE = 32


def clocks_at(*times: float) -> Tensor:
    uniforms = noise.uniform((len(times), DRAWS), 0, "looks").float()
    return render(torch.tensor(times), uniforms, Looks(), SIZE)


def run_of(folder: Path, overrides: tuple[str, ...], samples: Tensor, metrics: dict, **arrays: Tensor) -> None:
    """A run folder that holds ``samples (G, N, 1, SIZE, SIZE)`` and returns the last of each group."""
    make_run(folder, overrides=overrides, metrics=metrics)
    path = folder / "samples.safetensors"
    count = torch.full((len(samples),), samples.shape[1] - 1)
    save_file(load_file(path) | {"samples": samples, "selected": count} | arrays, path)


def test_success_is_counted_by_the_exact_reader(tmp_path: Path) -> None:
    """Of what is returned, and of base, which knows no time, of all; noise is no clock, five minutes are forgiven."""
    good, bad = clocks_at(285.0, 289.0, 281.0, 285.0), clocks_at(610.0, 285.0, 296.0, 100.0)
    bad[1] = noise.normal((1, SIZE, SIZE), 0, "noise")
    for mode, images in (("search", good), ("auto", bad)):
        for seed in (0, 1):
            samples = torch.stack([clocks_at(610.0, 610.0), images[2 * seed : 2 * seed + 2]], dim=1)
            overrides = (f"mode={mode}", r"reward.time=4\:45", f"seed={seed}")
            run_of(tmp_path / "runs" / f"{mode}{seed}", overrides, samples, {"nfe/weighted": 960})
    late = clocks_at(100.0, 285.0).unflatten(0, (2, 1))
    run_of(tmp_path / "runs" / "late", ("mode=auto", r"reward.time=1\:40"), late, {"nfe/weighted": 960})
    base = clocks_at(610.0, 100.0, 610.0, 610.0)
    base[0] = bad[1]
    base = base.unflatten(0, (2, 2))
    run_of(tmp_path / "runs" / "base", ("mode=base", "population.particles=2"), base, {"nfe/weighted": 128})
    text = study_clocks([tmp_path / "runs"], tmp_path / "out")
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in text.splitlines()}
    assert rows["method"] == ["method", "cost", "legible", "all times", "worst time", "1:40", "4:45"]
    assert rows["search"] == ["search", "480", "100.0 ± 0.0", "100.0 ± 0.0", "100.0 ± 0.0", "", "100"]
    assert rows["auto"] == ["auto", "480", "83.3 ± 15.2", "16.7 ± 15.2", "0.0 ± 0.0", "50", "0"]
    assert rows["base"] == ["base", "32", "75.0 ± 21.7", "12.5 ± 10.8", "0.0 ± 0.0", "25", "0"]
    assert (tmp_path / "out.md").read_text() == text + "\n"
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width > 100


def test_clocks_of_nothing_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished runs below"):
        study_clocks([tmp_path], tmp_path / "out")


def test_the_law_of_tilted_clocks_is_an_integral_over_the_dial() -> None:
    """Against rendered clocks by 400,000 times of their law, read without an error."""
    times = Times().draw(noise.uniform((400_000, 2), 0, "times").double())
    for name, time, scale in (("4:45", 285.0, 1.0), ("10:40", 640.0, 3.0), ("12:02", 2.0, 2.0)):
        weights = (-scale * shortfall(hands(times), hands(torch.tensor([time])))).exp()

        def share(chosen: Tensor, weights: Tensor = weights) -> float:
            return ((weights * chosen).sum() / weights.sum()).item()

        away, off = ((times - centre + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2 for centre in (TEN_PAST_TEN, time))
        law = by_integral(Times(), TimeTilt(name, scale))
        assert law.log_z[0] == pytest.approx(weights.mean().log().item(), abs=0.01)
        assert law.share[:2].tolist() == pytest.approx([share(away.abs() > 30), share(off.abs() <= 10)], abs=0.005)
        hours = [share((times >= 60 * hour) & (times < 60 * hour + 60)) for hour in range(12)]
        assert law.share[2:].tolist() == pytest.approx(hours, abs=0.005)


@pytest.mark.slow
def test_weighted_clocks_have_the_law_of_the_integral() -> None:
    """Clocks that are drawn from the law of the training and weighted by the reward, within its reader's error."""
    clocks = ClockImages(SIZE).draw(6000, "law").samples.view(10, 600, 1, SIZE, SIZE)
    tilt = TimeTilt("4:45", 1.0)
    with torch.no_grad():
        found = by_reward(clocks, tilt)
    exact = by_integral(Times(), tilt)
    assert abs(found.log_z[0] - exact.log_z[0]) < 3 * found.log_z[1] < 0.15
    assert ((found.share - exact.share)[:2].abs() < 3 * found.error[:2]).all()
    assert (found.error < 0.05).all()


def test_a_table_of_the_law_has_the_truth_and_the_runs(tmp_path: Path) -> None:
    times = ClockImages(SIZE).draw(40, "table").samples.view(2, 20, 1, SIZE, SIZE)
    weights = {"log_weights": torch.zeros(2, 20, dtype=torch.float64)}
    for seed in (0, 1):
        run_of(tmp_path / "law" / f"base{seed}", ("mode=base", "population.particles=20", f"seed={seed}"), times, {})
        tilt = (r"reward.time=4\:45", "reward.scale=1", f"seed={seed}")
        log_z = {"log_z": [-1.0 - seed, -2.0 - seed]}
        run_of(
            tmp_path / "law" / f"kernel{seed}",
            (*tilt, "mode=importance", "mode.weights=kernel"),
            times,
            log_z,
            **weights,
        )
    run_of(tmp_path / "law" / "smc", (*tilt, "mode=noise_smc"), times, {"log_z": [-3.0, -3.0]}, **weights)
    text = study_clock_law(tmp_path / "law", tmp_path / "out")
    assert (tmp_path / "out.md").read_text() == text + "\n"
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (1320, 504)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()][2:]
    assert [row[:3] for row in rows] == [
        ["4:45", "1", name]
        for name in (
            "the law of the training clocks",
            "base, weighted",
            "importance mode.weights=kernel, 2 runs",
            "noise_smc, 1 runs",
        )
    ]
    mean = (math.exp(-1) + 2 * math.exp(-2) + math.exp(-3)) / 4
    assert float(rows[2][3].split()[0]) == pytest.approx(math.log(mean), abs=1e-3)
    assert rows[3][3] == "-3.000 ± 0.000"


def test_the_law_of_no_tilt_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished runs below"):
        study_clock_law(tmp_path, tmp_path / "out")
    make_run(tmp_path / "base", overrides=("mode=base",))
    with pytest.raises(ValueError, match="no finished runs of a tilt below"):
        study_clock_law(tmp_path, tmp_path / "out")
