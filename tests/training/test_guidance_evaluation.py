"""Strengths of guidance are compared from the same noise, by the exact judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor

from fmtt.data.scenes import World, render
from fmtt.models.checkpoints import save_network
from fmtt.models.text_unet import TextUNet
from fmtt.run.configs import CONFIGS
from fmtt.training import guidance_evaluation
from fmtt.training.guidance_evaluation import shares_by_strength

NET = {"channels": 3, "size": 32, "width": 8, "blocks": 1, "embedding": 16, "words": 16}


@pytest.fixture
def settings(tmp_path: Path) -> DictConfig:
    torch.manual_seed(0)
    save_network(TextUNet(**NET), NET, tmp_path / "net.safetensors", {})
    with initialize_config_dir(str(CONFIGS / "training"), version_base="1.3"):
        words = [f"checkpoint={tmp_path}/net.safetensors", "samples=1", "ode_steps=4", "threads=1", "strengths=[1,2.5]"]
        return compose("guidance_evaluation", words)


def test_every_strength_has_a_share_for_each_category(settings: DictConfig) -> None:
    found = shares_by_strength(settings)
    assert list(found) == [1, 2.5]
    for row in found.values():
        assert row == {"one": 0.0, "two different": 0.0, "two of a kind": 0.0}, "it was not trained"


def test_all_strengths_begin_with_the_same_noise_and_pictures_are_judged(
    settings: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in for the ODE draws what one prompt says: a red circle."""
    begun: list[Tensor] = []

    def path(net: object, x: Tensor, steps: int) -> Tensor:
        begun.append(x)
        assert net(x, torch.zeros(len(x)), torch.zeros(len(x))).shape == x.shape and steps == 4
        return circle.expand(len(x), 5, -1, -1, -1)

    scenes = World(tie=1.0, kinds=(1.0, 0.0, 0.0, 0.0, 0.0)).draw(64, np.random.default_rng(0))
    red = next(row for row in range(64) if scenes.shape[row, 0] == 0 and scenes.colour[row, 0] == 0)
    circle = render(scenes)[red]
    monkeypatch.setattr(guidance_evaluation, "ode_path", path)
    found = shares_by_strength(settings)
    assert torch.equal(begun[0], begun[len(begun) // 2])
    assert found[1] == found[2.5] == {"one": 0.25, "two different": 0.0, "two of a kind": 0.0}
