"""The frontier: who is beaten by whom, and what the table and the picture show."""

from pathlib import Path

import pytest
from PIL import Image

from fmtt.report.frontier import Cell, draw, leaders, optimal, summary, table, undominated


def cell(
    method: str, cost: float, reward: float, fidelity: float = 1.0, error: float = 0.01, kept: bool = True
) -> Cell:
    quality = {"reward": (reward, error), "fidelity": (fidelity, error)}
    return Cell("task", method, cost, cost, cost / 100, quality, kept)


CELLS = [
    cell("a", 10, 0.1), cell("a", 100, 0.5), cell("b", 10, 0.3, 0.2), cell("b", 100, 0.495, 0.9), cell("c", 50, 0.2),
]  # fmt: skip


def names(cells: list[Cell]) -> list[tuple[str, float]]:
    return [(found.method, found.cost) for found in cells]


def test_undominated_in_one_quantity() -> None:
    assert names(undominated(CELLS, ["reward"])) == [("a", 100), ("b", 10)]


def test_a_second_quantity_saves_what_is_better_in_it() -> None:
    assert names(undominated(CELLS, ["reward", "fidelity"])) == [("a", 10), ("a", 100), ("b", 10), ("c", 50)]


def test_equal_cells_do_not_beat_each_other() -> None:
    twins = [cell("a", 1, 0.0), cell("b", 1, 0.0)]
    assert undominated(twins, ["reward"]) == twins


def test_leaders_are_those_within_two_standard_errors() -> None:
    dear = [found for found in CELLS if found.budget == 100]
    assert names(leaders(dear, "reward")) == [("a", 100), ("b", 100)]
    far = [cell("a", 1, 0.5, error=0.001), cell("b", 1, 0.495, error=0.001), cell("c", 1, 0.499, error=float("nan"))]
    assert names(leaders(far, "reward")) == [("a", 1), ("c", 1)]


def test_table_marks_leaders_and_strikes_out_what_is_not_kept() -> None:
    lines = table([*CELLS, cell("d", 100, 0.9, kept=False)], "reward").splitlines()
    rows = {
        line.split("|")[1].strip(): [text.strip() for text in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    assert rows["a"] == ["0.100 ± 0.010", "", "**0.500 ± 0.010**"]
    assert rows["b"] == ["**0.300 ± 0.010**", "", "**0.495 ± 0.010**"]
    assert rows["d"] == ["", "", "~~0.900 ± 0.010~~"]


def test_optimal_says_who_is_best_from_cheap_to_dear_among_those_kept() -> None:
    text = optimal([*CELLS, cell("d", 5, 0.9, kept=False)], ["reward"])
    assert text == "task: Pareto-optimal in cost, reward: b at 10 (reward 0.300); a at 100 (reward 0.500)"


def test_price_may_be_seconds() -> None:
    slow = Cell("task", "e", 10, 10, 7.0, {"reward": (0.9, 0.01)}, True)
    quick = Cell("task", "f", 100, 100, 0.5, {"reward": (0.6, 0.01)}, True)
    worse = Cell("task", "g", 20, 20, 1.0, {"reward": (0.5, 0.01)}, True)
    assert names(undominated([slow, quick, worse], ["reward"])) == [("e", 10)]
    assert names(undominated([slow, quick, worse], ["reward"], "seconds")) == [("e", 10), ("f", 100)]
    assert optimal([slow, quick], ["reward"], "seconds").endswith("f at 0.5 (reward 0.600); e at 7 (reward 0.900)")


def test_summary_shows_a_few_budgets_of_all_tasks() -> None:
    from dataclasses import replace

    both = [*CELLS, *(replace(found, task="other", kept=False) for found in CELLS)]
    head, _, *lines = summary(both, "reward", [100]).splitlines()
    assert head == "| reward | task at 100 | other at 100 |"
    assert lines[0] == "| a | **0.500 ± 0.010** | ~~0.500 ± 0.010~~ |"
    assert [line.split("|")[1].strip() for line in lines] == ["a", "b"]  # c has no run at 100


@pytest.mark.parametrize("tasks", [1, 2])
def test_picture_has_a_row_for_each_task(tasks: int, tmp_path: Path) -> None:
    from dataclasses import replace

    cells = [replace(found, task=f"task {number}") for number in range(tasks) for found in CELLS]
    draw(tmp_path / "frontier.png", cells, ["reward", "fidelity"])
    with Image.open(tmp_path / "frontier.png") as picture:
        assert picture.width > 1200
        assert picture.height > 350 * tasks
