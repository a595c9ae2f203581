"""The comparison of maximisers, from returned samples that are known."""

import csv
from pathlib import Path

import pytest
import torch

from fmtt import run_folder
from fmtt.flow import noise
from fmtt.studies import maximisers
from fmtt.studies.maximisers import compare, interval, pseudo_values
from fmtt.studies.maximisers_tables import study_maximisers
from tests.run_folder import make_run

GROUPS = 64


def returned(
    folder: Path, words: str, success: float, reward: float = -0.1, verdict: str = "shows_the_digit", **more: float
) -> None:
    """A run that returns 64 samples with a share ``success`` of successes."""
    metrics = {"nfe/weighted": 60 * GROUPS, "time/method_s": 3, **more}
    make_run(folder, overrides=tuple(words.split()), base=False, metrics=metrics)
    key = words.split("seed=")[1]
    rows = [
        {
            "group": k,
            "prompt": 0,
            "reward": reward + 0.01 * noise.normal((1,), key, k, "reward").item(),
            verdict: float(noise.uniform((1,), key, k, "success") < success),
            "recognised": 1.0,
            "apart": 2 + noise.uniform((1,), key, k, words, "apart").item(),
        }
        for k in range(GROUPS)
    ]
    run_folder.write_returned(folder, rows)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods with two seeds on one task at one cost, and the base model."""
    for seed in (0, 1):
        for mode, success in (("search", 0.9), ("beam", 0.3)):
            words = f"reward=digit reward.digit=7 budget.nfe=64 role=maximise mode={mode} seed={seed}"
            returned(tmp_path / f"{mode}{seed}", words, success)
    returned(tmp_path / "base", "reward=symmetry mode=base seed=0", 0.0)
    return tmp_path


def test_methods_are_told_apart_and_ranked(runs: Path) -> None:
    text = study_maximisers([runs], runs / "out")
    lines = text.splitlines()
    assert lines[0] == "| method | dominated in cells | by |"
    assert lines[2:4] == ["| search | 0 of 1 |  |", "| beam | 1 of 1 | search (1) |"]
    success = lines[lines.index("| digit 7: success | at 64 |") + 2 :]
    assert (
        success[0].startswith("| search | **89% (82%, 93%)**")
        and success[1].startswith("| beam | 27% (20%, 36%) |")
        and "**" not in success[1]
    )
    assert (runs / "out.png").is_file() and (runs / "out_all.png").is_file()
    with (runs / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["samples"], row["dominated_by"]) for row in rows] == [
        ("beam", "128", "search"),
        ("search", "128", ""),
    ]
    assert float(rows[0]["cost"]) == 60 and float(rows[0]["seconds"]) == pytest.approx(3 / 64, abs=1e-4)
    for row in rows:
        assert float(row["success/low"]) < float(row["success"]) < float(row["success/high"])


def test_samples_are_in_the_order_of_seeds_and_groups(runs: Path) -> None:
    cells = compare([runs]).cells
    (methods,) = cells.values()
    expected = [
        -0.1 + 0.01 * noise.normal((1,), str(seed), k, "reward").item() for seed in (0, 1) for k in range(GROUPS)
    ]
    for one in methods.values():
        assert one.qualities["reward"].tolist() == pytest.approx(expected)


def test_geometry_needs_a_digit_and_more_than_real_digits_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maximisers, "best_real", lambda reward, shape: {"half": -0.1, None: -9.0}[shape])
    returned(tmp_path / "0", "reward=mask reward.shape=half budget.nfe=64 mode=search seed=0", 0.0, verdict="other")
    returned(tmp_path / "base", "mode=base seed=0", 0.0)
    ((task, _),) = compare([tmp_path]).cells
    (methods,) = compare([tmp_path]).cells.values()
    found = methods["search"].qualities
    assert task == "mask half"
    assert found["success"].tolist() == (found["reward"] > -0.1).double().tolist()
    assert 0 < found["success"].mean() < 1


def test_diversity_is_in_units_of_the_model(runs: Path) -> None:
    (methods,) = compare([runs]).cells.values()
    words = "reward=digit reward.digit=7 budget.nfe=64 role=maximise mode=beam seed="
    base, *own = (
        torch.tensor([2 + noise.uniform((1,), key, k, name, "apart").item() for k in range(GROUPS)]).mean()
        for key, name in (("0", "reward=symmetry mode=base seed=0"), ("0", f"{words}0"), ("1", f"{words}1"))
    )
    expected = (own[0] + own[1]) / 2 / base
    assert methods["beam"].qualities["diversity"].mean().item() == pytest.approx(expected.item())


def test_pseudo_values_are_those_of_the_jackknife() -> None:
    x = noise.normal((9, 2), "points").double()
    apart = torch.cdist(x, x)
    found = pseudo_values(apart.sum(1) / 8)
    mean = apart.sum() / (9 * 8)
    for k in range(9):
        rest = [j for j in range(9) if j != k]
        without = apart[rest][:, rest].sum() / (8 * 7)
        assert found[k].item() == pytest.approx((9 * mean - 8 * without).item())


def test_shares_and_means_have_their_intervals() -> None:
    low, high = interval(torch.tensor([1.0, 0.0] * 50))
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    values = torch.linspace(0, 1, 101)
    low, high = interval(values)
    assert low < 0.5 < high and high - low == pytest.approx(2 * 1.96 * 0.2915 / 101**0.5, rel=0.1)


def test_the_comparison_needs_the_base_model(tmp_path: Path) -> None:
    returned(tmp_path / "0", "reward=digit budget.nfe=64 mode=search seed=0", 0.5)
    with pytest.raises(ValueError, match="needs runs of mode=base"):
        compare([tmp_path])


def test_kernel_distances_are_means_over_runs_and_missing_where_a_run_has_none(tmp_path: Path) -> None:
    words = "reward=digit reward.digit=7 budget.nfe=64 role=maximise mode={} seed={}"
    known = {"kid": 0.2, "kid/stderr": 0.03}, {"kid": 0.4, "kid/stderr": 0.04}
    for seed, metrics in enumerate(known):
        returned(tmp_path / f"beam{seed}", words.format("beam", seed), 0.5, **metrics)
        returned(tmp_path / f"das{seed}", words.format("das", seed), 0.4, **(metrics if seed else {}))
    returned(tmp_path / "base", "mode=base seed=0", 0.0)
    lines = study_maximisers([tmp_path], tmp_path / "out").splitlines()
    rows = lines[lines.index("| digit 7: kernel distance to real ones | at 64 |") + 2 :]
    assert rows == ["| beam | 0.3000 ± 0.0250 |", "| das |  |"]
    with (tmp_path / "out.csv").open() as file:
        assert [(row["method"], row["kid"]) for row in csv.DictReader(file)] == [
            ("beam", "0.30000000000000004"),
            ("das", ""),
        ]
