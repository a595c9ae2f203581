"""What may make a run fit into memory: the settings that it has and that are not used yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from fmtt.api import Run
from fmtt.flow.precision import precision_of
from fmtt.flow.protocols import Velocity, as_movable

HALF = 2  # bytes of a number of bf16-true and 16-true
NOTHING = "no setting of this run needs less: it needs a smaller model or a device with more memory"


@dataclass(frozen=True)
class Settings:
    """The settings of a run on which its memory depends.

    Attributes:
        device: where it is computed.
        precision: its word.
        sized: whether the model has a height and a width that can be set.
        offload: whether weights wait on the CPU; None if the model cannot do that.
        checkpointing: whether the layers compute again for the gradient; None if the model has no such setting.
        tiny_decoder: whether rewards see pictures by a small decoder; None if the model has no such setting.
    """

    device: torch.device
    precision: str
    sized: bool = False
    offload: bool | None = None
    checkpointing: bool | None = None
    tiny_decoder: bool | None = None


def settings_of(config: DictConfig, model: Velocity, device: torch.device) -> Settings:
    """Those of a configuration for its ``model``."""
    own = config.model or {}
    return Settings(
        device=device,
        precision=config.precision,
        sized="height" in own and "width" in own,
        offload=bool(config.offload) if as_movable(model).offloaded else None,
        checkpointing=bool(own.checkpointing) if "checkpointing" in own else None,
        tiny_decoder=own.tiny_decoder is not None if "tiny_decoder" in own else None,
    )


def hints(settings: Settings, run: Run, steps: int) -> str:
    """The end of a line about a sample that does not fit: what needs less, and is not set already.

    Args:
        settings: those of the run.
        run: the run.
        steps: of its look-ahead; 0 if they cannot be set.
    """
    gradient = run.loop.uses_gradient
    known = {
        "smaller model.height and model.width": settings.sized,
        f"a look-ahead with fewer steps than {steps}": steps > 1,
        "a mode without gradients": gradient,
        "model.checkpointing=true": gradient and settings.checkpointing is False,
        "model.tiny_decoder": settings.tiny_decoder is False,
        "precision=bf16-true": halves(settings) and "bf16-true" not in run.problem.model.flow.unfit_precisions,
        "offload=true": offloads(settings),
    }
    return said([name for name, helps in known.items() if helps])


def hints_for_weights(settings: Settings) -> str:
    """The same about weights that do not fit."""
    known = {"precision=bf16-true": halves(settings), "offload=true": offloads(settings)}
    return said([name for name, helps in known.items() if helps])


def halves(settings: Settings) -> bool:
    """Whether a precision has numbers of fewer bytes."""
    return precision_of(settings.precision).network.itemsize > HALF


def offloads(settings: Settings) -> bool:
    """Whether weights can leave the device for the memory of the CPU."""
    return settings.offload is False and settings.device.type != "cpu"


def said(names: Sequence[str]) -> str:
    """Such as ``; a, b or c would need less``."""
    if not names:
        return f"; {NOTHING}"
    *others, last = names
    return f"; {' or '.join([', '.join(others), last] if others else [last])} would need less"
