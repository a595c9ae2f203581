"""The bundled networks that answer questions are as right as their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmtt.models.checkpoints import BUNDLED, load_network, read_card
from fmtt.models.question_net import QuestionNet
from fmtt.training.questions import grade

NETS = ("question_net", "question_evaluator")
KINDS = ("group", "number", "place", "relation")
CARD = Path(__file__).resolve().parents[2] / "docs" / "model_cards" / "questions.md"


@pytest.mark.parametrize("name", NETS)
def test_a_part_of_the_test_set_is_answered_as_the_card_says(name: str) -> None:
    card, found = read_card(BUNDLED / f"{name}.safetensors"), grade(load_network(name, QuestionNet), 500)
    error = (card["right"] * (1 - card["right"]) / 500) ** 0.5
    assert abs(found["right"] - card["right"]) < 4 * error + 1 / 500
    assert min(card[f"right/{kind}"] for kind in KINDS) > 0.98
    assert card["calibration_error"] < 0.01


@pytest.mark.parametrize("name", NETS)
def test_the_page_has_the_numbers_of_the_card(name: str) -> None:
    card, page = read_card(BUNDLED / f"{name}.safetensors"), CARD.read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}`"))
    shares = [f"{100 * card[f'right/{kind}']:.1f}%" for kind in KINDS]
    assert row.split(" | ")[2:6] == shares
    assert row.split(" | ")[6:8] == [f"{card['cross_entropy']:.4f}", f"{card['calibration_error']:.4f}"]
