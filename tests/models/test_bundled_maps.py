"""The bundled flow maps of images are what their model cards say."""

import json
from pathlib import Path

import pytest
import torch

from fmtt.data.clock_templates import LEGIBLE, TemplateReader
from fmtt.flow import noise
from fmtt.flow.ode import runge_kutta
from fmtt.models.checkpoints import BUNDLED, read_card
from fmtt.models.learned import load_flow_map

CARDS = Path(__file__).resolve().parents[2] / "docs" / "model_cards"
MAPS = pytest.mark.parametrize("name", ["mnist", "clocks"])


def measured(name: str) -> dict:
    return json.loads((CARDS / f"{name}.json").read_text())


@pytest.mark.slow
@MAPS
def test_one_jump_is_as_true_to_its_ode_as_the_card_says(name: str) -> None:
    recorded = measured(name)["relative_error"]["1 jump"]["0.5"]
    model = load_flow_map(name)
    x0 = noise.normal((16, *model.shape), 0, "a look at the bundled map")
    start, half, end = (torch.full((16,), t) for t in (0.0, 0.5, 1.0))
    with torch.no_grad():
        middle, _ = runge_kutta(model.velocity, x0, start, half, 8)
        truth, _ = runge_kutta(model.velocity, middle, half, end, 8)
        jump = model.flow_map(middle, half, end)
    error = (jump - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    assert abs(error.mean() - recorded) < 4 * error.std() / len(error) ** 0.5


def test_clocks_can_be_read_as_often_as_the_card_says() -> None:
    recorded = measured("clocks")["recognised"]["4 jumps"]
    model, count = load_flow_map("clocks"), 96
    x = noise.normal((count, *model.shape), 0, "a look at the bundled clocks")
    with torch.no_grad():
        for k in range(4):
            x = model.flow_map(x, torch.full((count,), k / 4), torch.full((count,), (k + 1) / 4))
    legible = (TemplateReader(32)(x).fit >= LEGIBLE).double().mean()
    assert abs(legible - recorded) < 4 * (recorded * (1 - recorded) / count) ** 0.5


@MAPS
def test_the_card_tells_how_the_map_was_trained(name: str) -> None:
    card = read_card(BUNDLED / f"{name}.safetensors")
    assert {"config", "steps", "minutes"} <= set(card)
    assert (BUNDLED / f"{name}.safetensors").stat().st_size < 6e6


@pytest.mark.parametrize("step", [1800, 2200, 3200])
def test_stages_of_the_training_are_those_that_they_are_called(step: int) -> None:
    assert read_card(BUNDLED / f"clocks_{step}.safetensors")["steps"] == step


@pytest.mark.parametrize(("name", "samples"), [("mnist", 1000), ("clocks", 500)])
def test_the_model_card_quotes_the_measured_figures(name: str, samples: int) -> None:
    figures, text = measured(name), (CARDS / f"{name}.md").read_text()
    assert figures["counts"]["samples"] >= samples
    for kind, share in figures["recognised"].items():
        assert f"{share:.1%}" in text, kind
    for kind, errors in figures["relative_error"].items():
        assert all(f"{error:.4f}" in text for error in errors.values()), kind
