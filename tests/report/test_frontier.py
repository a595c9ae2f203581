"""The frontier: who is beaten by whom, and what the table and the picture show."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fmtt.studies.pareto import MethodPoint, clearly_beaten, leaders, undominated
from fmtt.studies.pareto_picture import draw_points
from fmtt.studies.pareto_tables import budget_table, defeats, optimal_points, summary_table


def cell(
    method: str, cost: float, reward: float, fidelity: float = 1.0, error: float | None = 0.01, kept: bool = True
) -> MethodPoint:
    quality = {"reward": (reward, error), "fidelity": (fidelity, error)}
    return MethodPoint("task", method, cost, cost, cost / 100, quality, kept)


CELLS = [
    cell("a", 10, 0.1), cell("a", 100, 0.5), cell("b", 10, 0.3, 0.2), cell("b", 100, 0.495, 0.9), cell("c", 50, 0.2),
]  # fmt: skip


def names(cells: list[MethodPoint]) -> list[tuple[str, float]]:
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
    far = [cell("a", 1, 0.5, error=0.001), cell("b", 1, 0.495, error=0.001), cell("c", 1, 0.499, error=None)]
    assert names(leaders(far, "reward")) == [("a", 1), ("c", 1)]


def test_clearly_beaten_is_who_has_a_better_and_no_worse_rival_for_the_money() -> None:
    mine = cell("a, 2 jumps", 50, 0.5)
    rivals = {
        "better": cell("b", 50, 0.53), "by chance": cell("b", 50, 0.52), "dearer": cell("b", 51, 0.53),
        "worse elsewhere": cell("b", 50, 0.53, fidelity=0.95), "not kept": cell("b", 50, 0.53, kept=False),
        "a little worse elsewhere": cell("b", 50, 0.53, fidelity=0.98), "a variant": cell("a", 50, 0.53),
        "of another task": replace(cell("b", 50, 0.53), task="other"),
    }  # fmt: skip
    beaten = {name for name, rival in rivals.items() if clearly_beaten([mine, rival], "a", ["reward", "fidelity"])}
    assert beaten == {"better", "a little worse elsewhere"}
    best = [mine, cell("b", 50, 0.53), cell("c", 40, 0.55), cell("ab", 1, 0.4)]
    assert clearly_beaten(best, "a", ["reward", "fidelity"]) == [(mine, best[2])]
    text = defeats(best, ["reward", "fidelity"], "a").splitlines()
    assert text[0] == "a: kept in 1 of 1 cells, clearly beaten in 1"
    assert text[-1] == "- task, a, 2 jumps at 50: by 0.05, c at 40"


def test_table_marks_leaders_and_strikes_out_what_is_not_kept() -> None:
    lines = budget_table([*CELLS, cell("d", 100, 0.9, kept=False)], "reward").splitlines()
    rows = {
        line.split("|")[1].strip(): [text.strip() for text in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    assert rows["a"] == ["0.100 ± 0.010", "", "**0.500 ± 0.010**"]
    assert rows["b"] == ["**0.300 ± 0.010**", "", "**0.495 ± 0.010**"]
    assert rows["d"] == ["", "", "~~0.900 ± 0.010~~"]


def test_optimal_says_who_is_best_from_cheap_to_dear_among_those_kept() -> None:
    text = optimal_points([*CELLS, cell("d", 5, 0.9, kept=False)], ["reward"])
    assert text == "task: Pareto-optimal in cost, reward: b at 10 (reward 0.300); a at 100 (reward 0.500)"


def test_price_may_be_seconds() -> None:
    slow = MethodPoint("task", "e", 10, 10, 7.0, {"reward": (0.9, 0.01)}, True)
    quick = MethodPoint("task", "f", 100, 100, 0.5, {"reward": (0.6, 0.01)}, True)
    worse = MethodPoint("task", "g", 20, 20, 1.0, {"reward": (0.5, 0.01)}, True)
    assert names(undominated([slow, quick, worse], ["reward"])) == [("e", 10)]
    assert names(undominated([slow, quick, worse], ["reward"], "seconds")) == [("e", 10), ("f", 100)]
    assert optimal_points([slow, quick], ["reward"], "seconds").endswith(
        "f at 0.5 (reward 0.600); e at 7 (reward 0.900)"
    )


def test_summary_shows_a_few_budgets_and_all_quantities() -> None:
    worse = [
        replace(found, quality={"reward": (0.4, 0.001), "fidelity": (0.5, 0)}) for found in CELLS if found.cost == 100
    ]
    both = [*CELLS, *(replace(found, task="other", kept=found.method == "a") for found in worse)]
    text = summary_table(both, {"reward": ".2f", "fidelity": ".0%"}, [10, 100])
    assert text.splitlines() == [
        "| task: reward, fidelity | at 10 | at 100 |", "|---|---|---|",
        "| a | 0.10, 100% | **0.50, 100%** |", "| b | **0.30, 20%** | **0.49, 90%** |", "",  # c has no run there
        "| other: reward, fidelity | at 10 | at 100 |", "|---|---|---|",
        "| a |  | **0.40, 50%** |", "| b |  | ~~0.40, 50%~~ |",
    ]  # fmt: skip


@pytest.mark.parametrize("tasks", [1, 2])
def test_picture_has_a_row_for_each_task(tasks: int, tmp_path: Path) -> None:
    cells = [replace(found, task=f"task {number}") for number in range(tasks) for found in CELLS]
    draw_points(cells, ["reward", "fidelity"], "a").savefig(tmp_path / "frontier.png")
    with Image.open(tmp_path / "frontier.png") as picture:
        assert picture.width > 1200
        assert picture.height > 350 * tasks
