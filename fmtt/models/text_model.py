"""A trained two-time network that is told a text, as a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fmtt.checks import positive
from fmtt.flow.interpolant import expand
from fmtt.flow.protocols import Evaluator
from fmtt.models.checkpoints import load_network
from fmtt.models.text_unet import TextUNet
from fmtt.models.two_time import in_precision
from fmtt.models.words import caption_tokens


class TextModel:
    """Velocity and flow map of one network ``v_{s,t}(x | text)``, as :class:`fmtt.models.learned.TwoTimeModel`.

    Args:
        net: the network; frozen by the caller.
        evaluator: grades samples; no reward uses it.
        usual_error: its :func:`fmtt.tilt.typicality.usual_error`, if it was measured.
    """

    chunk = 128

    def __init__(self, net: TextUNet, evaluator: Evaluator | None = None, usual_error: float | None = None):
        self.net, self.shape, self.evaluator = net, net.shape, evaluator
        self.usual_error = None if usual_error is None else positive("model.usual_error", usual_error)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.net,)

    def velocity(self, x: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return self.net(x, t, t, condition)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return x + expand(t - s, x) * self.net(x, s, t, condition)

    @torch.no_grad()
    def encode_prompts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """What the network is told of each text.

        Raises:
            ValueError: if a word is unknown, or a text has too many words.
        """
        return self.net.encode(caption_tokens(texts).to(self.net.mean.device))

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> TextModel:
        """The same model on ``device``, in precision ``dtype``."""
        return TextModel(in_precision(self.net, device, dtype), self.evaluator, self.usual_error)  # type: ignore[arg-type]


def load_text_model(
    checkpoint: str | Path, evaluator: Evaluator | None = None, usual_error: float | None = None
) -> TextModel:
    """The text-conditioned flow map in a safetensors file, or the bundled one of that name (``scenes``).

    Raises:
        CheckpointError: if the file does not exist, is damaged or holds another network.
    """
    return TextModel(load_network(checkpoint, TextUNet), evaluator, usual_error)
