"""The bundled networks that answer questions are as right as their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmtt.models.checkpoints import BUNDLED, load_network, read_card
from fmtt.models.question_net import QuestionNet
from fmtt.training.question_grades import grade, on_the_way

NETS = ("question_net", "question_evaluator", "question_net_graded")
KINDS = ("group", "number", "place", "relation")
CARD = Path(__file__).resolve().parents[2] / "docs" / "model_cards" / "questions.md"


@pytest.mark.parametrize("name", NETS)
def test_a_part_of_the_test_set_is_answered_as_the_card_says(name: str) -> None:
    card, found = read_card(BUNDLED / f"{name}.safetensors"), grade(load_network(name, QuestionNet), 500)
    error = (card["right"] * (1 - card["right"]) / 500) ** 0.5
    assert abs(found["right"] - card["right"]) < 4 * error + 1 / 500
    least, most = (0.96, 0.03) if name == NETS[2] else (0.98, 0.01)  # it was trained on half as many whole scenes
    assert min(card[f"right/{kind}"] for kind in KINDS) > least
    assert card["calibration_error"] < most


@pytest.mark.parametrize("name", NETS)
def test_the_page_has_the_numbers_of_the_card(name: str) -> None:
    card, page = read_card(BUNDLED / f"{name}.safetensors"), CARD.read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")][:1]
    shares = [f"{100 * card[f'right/{kind}']:.1f}%" for kind in KINDS]
    assert row.split(" | ")[2:6] == shares
    assert row.split(" | ")[6:8] == [f"{card['cross_entropy']:.4f}", f"{card['calibration_error']:.4f}"]


@pytest.mark.parametrize("name", NETS)
def test_the_page_says_what_is_on_the_way(name: str) -> None:
    row = [line for line in CARD.read_text().splitlines() if line.startswith(f"| `{name}`")][1]
    found = on_the_way(load_network(name, QuestionNet))
    assert row.strip("| ").split(" | ")[1:] == [f"{value:.2f}" for value in found.values()]


def test_only_the_graded_network_says_how_far_it_is_from_a_no_to_a_yes() -> None:
    jumps, graded = (list(on_the_way(load_network(name, QuestionNet), 400).values()) for name in (NETS[0], NETS[2]))
    assert jumps[1] - jumps[0] < 1 and jumps[2] - jumps[1] > 5
    assert graded[1] - graded[0] > 1.5 and graded[2] - graded[1] < 2.5
