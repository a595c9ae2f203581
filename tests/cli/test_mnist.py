"""The bundled models do what the project is for: digits become symmetric, zeros are found, log Z is right."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fmtt import noise
from fmtt.data.images import read_sample
from fmtt.models.checkpoints import BUNDLED, read_card
from fmtt.models.learned import load_flow_map
from fmtt.ode import runge_kutta

ROOT = Path(__file__).resolve().parents[2]
MEASURED = json.loads((ROOT / "docs" / "model_cards" / "mnist.json").read_text())
SMALL = ["population.groups=1", "population.particles=8", "sampler.steps=6"]


def test_digits_become_more_symmetric_and_the_class_shares_are_shown(fmtt) -> None:
    outcome = fmtt("lookahead=flowmap1", "reward=symmetry", *SMALL, small=False)
    assert outcome.status == 0
    assert outcome.metrics["reward/weighted_mean"] > outcome.metrics["reward/base_mean"] + 0.05
    for kind in ("base", "tilted"):
        assert sum(outcome.metrics[f"classes/{kind}"]) == pytest.approx(1)
    assert "class shares" in outcome.out


def test_a_picture_is_changed_inside_a_mask_and_kept_outside(fmtt) -> None:
    words = ["experiment=edit", "population.groups=1", "population.particles=4", "sampler.steps=16"]
    outcome = fmtt(*words, "baseline=true", small=False)
    assert outcome.status == 0
    picture = read_sample("path", "three", (1, 28, 28))
    edited = read_sample("path", outcome.folder / "pictures" / "0.png", (1, 28, 28))
    base = load_file(outcome.folder / "samples.safetensors")["base"]
    change = (edited - picture).square().mean(1)[0]  # by column
    assert change[14:].mean() < (base - picture).square()[..., 14:].mean() / 10
    assert change[:14].mean() > 2 * change[14:].mean()
    assert outcome.metrics["classes/tilted"][8] > outcome.metrics["classes/base"][8]


def test_the_weighted_law_of_a_digit_tilt_is_full_of_that_digit(fmtt) -> None:
    words = ["lookahead=flowmap1", "reward=digit", "reward.digit=1", "population.groups=2", "population.particles=16"]
    outcome = fmtt(*words, "sampler.steps=8", small=False)
    assert outcome.status == 0
    assert outcome.metrics["classes/tilted"][1] > 0.5 > outcome.metrics["classes/base"][1]


def test_material_weights_know_the_learned_map(fmtt) -> None:
    outcome = fmtt("lookahead=flowmap1", "mode.weights=material", *SMALL, small=False)
    assert outcome.status == 0
    assert math.isfinite(outcome.metrics["log_z/mean"])


def test_one_jump_of_the_bundled_map_is_as_true_to_its_ode_as_the_card_says() -> None:
    recorded = MEASURED["relative_error"]["1 jump"]["0.5"]
    model = load_flow_map("mnist")
    x0 = noise.normal((16, *model.shape), 0, "a look at the bundled map")
    start, half, end = (torch.full((16,), t) for t in (0.0, 0.5, 1.0))
    with torch.no_grad():
        middle, _ = runge_kutta(model.velocity, x0, start, half, 8)
        truth, _ = runge_kutta(model.velocity, middle, half, end, 8)
        jump = model.flow_map(middle, half, end)
    error = (jump - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    assert abs(error.mean() - recorded) < 4 * error.std() / len(error) ** 0.5


def test_the_card_tells_how_the_bundled_map_was_trained() -> None:
    card = read_card(BUNDLED / "mnist.safetensors")
    assert {"config", "steps", "minutes"} <= set(card)
    assert (BUNDLED / "mnist.safetensors").stat().st_size < 6e6


def test_the_model_card_quotes_the_measured_figures() -> None:
    assert MEASURED["counts"]["samples"] >= 1000
    text = (ROOT / "docs" / "model_cards" / "mnist.md").read_text()
    for name, share in MEASURED["recognised"].items():
        assert f"{share:.1%}" in text, name
