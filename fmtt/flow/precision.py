"""In which precision samples live and networks compute; the words are those of Lightning Fabric.

Weights, rewards and log Z are always in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from fmtt.checks import choice
from fmtt.flow.protocols import Flow


class Precision(NamedTuple):
    """What a word means.

    Attributes:
        samples: the type of samples and noise.
        network: the type of ``x`` at the model, whose parameters have it too; times stay in the type of the samples.
        autocast: the type in which operations of a ``mixed`` precision run, or None.
    """

    samples: torch.dtype
    network: torch.dtype
    autocast: torch.dtype | None = None


PRECISIONS = {
    "32-true": Precision(torch.float32, torch.float32),
    "64-true": Precision(torch.float64, torch.float64),
    "bf16-true": Precision(torch.float32, torch.bfloat16),
    "16-true": Precision(torch.float32, torch.float16),
    "bf16-mixed": Precision(torch.float32, torch.float32, torch.bfloat16),
    "16-mixed": Precision(torch.float32, torch.float32, torch.float16),
}


def precision_of(word: str) -> Precision:
    """What ``word`` means.

    Raises:
        ValueError: if there is no such word.
    """
    return PRECISIONS[choice("precision", word, PRECISIONS)]


def precision_for(flow: Flow, word: str) -> Precision:
    """What ``word`` means, for a model.

    Raises:
        ValueError: if there is no such word, or the network of the model gives no numbers in that precision.
    """
    found = precision_of(word)
    if word in flow.unfit_precisions:
        raise ValueError(f"precision={word}: the network of this model divides by zeros in it; use bf16-mixed")
    return found


def mixed(precision: str, device: torch.device | str) -> torch.autocast:
    """The context in which a ``mixed`` precision runs; nothing for others."""
    kind = precision_of(precision).autocast
    return torch.autocast(torch.device(device).type, kind, enabled=kind is not None)
