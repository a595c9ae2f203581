"""The bundled models do what the project is for: digits become symmetric, zeros are found, log Z is right."""

import math

import pytest
from safetensors.torch import load_file

from fmtt.data.images import read_sample

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


@pytest.mark.slow
def test_the_weighted_law_of_a_digit_tilt_is_full_of_that_digit(fmtt) -> None:
    words = ["lookahead=flowmap1", "reward=digit", "reward.digit=1", "population.groups=2", "population.particles=16"]
    outcome = fmtt(*words, "sampler.steps=8", small=False)
    assert outcome.status == 0
    assert outcome.metrics["classes/tilted"][1] > 0.5 > outcome.metrics["classes/base"][1]


@pytest.mark.slow
@pytest.mark.parametrize("words", [("reward=symmetry",), ("reward=digit",), ("model=clocks", "reward=clock")])
def test_material_weights_know_the_learned_map(fmtt, words: tuple[str, ...]) -> None:
    outcome = fmtt("lookahead=flowmap1", "mode.weights=material", *words, *SMALL, small=False)
    assert outcome.status == 0
    assert math.isfinite(outcome.metrics["log_z/mean"])
