"""A training that is stopped after its first epoch, and resumed."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
from omegaconf import DictConfig

from fmtt.models.checkpoints import read_card
from fmtt.training.fit import train_flow_map


def train_with_a_break(config: Callable[[], DictConfig], patch: pytest.MonkeyPatch) -> int:
    """Train as ``config()`` says, in two parts; returns the steps of the first part."""
    trainer = L.Trainer
    with patch.context() as once:
        once.setattr(L, "Trainer", lambda **settings: trainer(**{**settings, "max_epochs": 1}))
        train_flow_map(config())
    steps = read_card(Path(config().export))["steps"]
    train_flow_map(config())
    assert isinstance(steps, int)
    return steps
