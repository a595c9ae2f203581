"""Curves of many runs stand on one grid, and have no value where the run had none."""

import numpy as np
import pytest

from fmtt.report.comparison.histories import MOST, common_grid, curves_on_grid, on_grid


def history(steps: int) -> dict[str, np.ndarray]:
    t = np.arange(1, steps + 1) / steps
    return {"t": t, "ess": 1 - t / 2, "log_z": np.full(steps, np.nan)}


def test_few_times_are_kept_as_they_are() -> None:
    grid = common_grid([history(3), history(6), {"t": np.array([1 / 3 + 1e-9, np.nan])}, {}])
    assert grid.tolist() == pytest.approx([1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1], abs=1e-6)


def test_many_times_become_a_grid_from_the_first_to_the_last() -> None:
    grid = common_grid([history(1000), history(7)])
    assert len(grid) == MOST and grid[0] == 0.001 and grid[-1] == 1
    assert curves_on_grid(history(1000), grid)["ess"] == pytest.approx(1 - grid / 2)


def test_without_histories_there_is_no_grid() -> None:
    assert len(common_grid([history(1000)] * 1000)) == 30 and len(common_grid([history(1000)] * 10_000)) == 10
    assert len(common_grid([])) == 0 and len(common_grid([{"ess": np.ones(2)}])) == 0


def test_there_is_no_value_before_the_first_and_after_the_last() -> None:
    t, values = np.array([0.2, 0.4, 0.6, 0.8]), np.array([np.nan, 1.0, 3.0, np.nan])
    found = on_grid(t, values, np.array([0.2, 0.4, 0.5, 0.6, 0.7]))
    assert found.tolist() == pytest.approx([np.nan, 1, 2, 3, np.nan], nan_ok=True)
    assert np.isnan(on_grid(t, np.full(4, np.nan), t)).all()


def test_times_need_not_be_sorted() -> None:
    assert on_grid(np.array([1.0, 0.0]), np.array([5.0, 3.0]), np.array([0.0, 0.5, 1.0])).tolist() == [3, 4, 5]


def test_a_quantity_without_numbers_has_no_curve() -> None:
    assert curves_on_grid(history(4), np.array([0.5, 1.0])).keys() == {"ess"}
    assert curves_on_grid({"ess": np.ones(3)}, np.array([0.5])) == {}
