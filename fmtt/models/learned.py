"""A trained two-time network as a model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fmtt.checks import positive
from fmtt.flow.interpolant import expand
from fmtt.flow.protocols import Evaluator
from fmtt.models.analytic import GaussianMixture, MixtureLaw
from fmtt.models.checkpoints import load_network
from fmtt.models.mlp import TwoTimeMLP
from fmtt.models.ring import Ring
from fmtt.models.two_time import in_precision
from fmtt.models.unet import TwoTimeUNet

TWO_TIME: tuple[type[TwoTimeUNet] | type[TwoTimeMLP], ...] = (TwoTimeUNet, TwoTimeMLP)


class TwoTimeModel:
    """Velocity and flow map of one network ``v_{s,t}(x)``: ``b_t = v_{t,t}``, ``X_{s,t}(x) = x + (t - s) v_{s,t}(x)``.

    Args:
        net: called as ``net(x, s, t)``; frozen by the caller.
        shape: shape D of one sample.
        evaluator: grades samples; no reward uses it.
        law: the law of the training data, if it is known.
        usual_error: its :func:`fmtt.tilt.typicality.usual_error`, if it was measured.
        map_net: another network whose flow map replaces that of ``net``, to study the effect of its quality.
    """

    chunk = 256

    def __init__(
        self,
        net: nn.Module,
        shape: tuple[int, ...],
        evaluator: Evaluator | None = None,
        law: MixtureLaw | None = None,
        usual_error: float | None = None,
        map_net: nn.Module | None = None,
    ):
        self.net, self.shape, self.evaluator, self.law = net, tuple(shape), evaluator, law
        self.usual_error = None if usual_error is None else positive("model.usual_error", usual_error)
        self.map_net = map_net or net

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.net,) if self.map_net is self.net else (self.net, self.map_net)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(x, t, t)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return x + expand(t - s, x) * self.map_net(x, s, t)

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> TwoTimeModel:
        """The same model with its networks on ``device``, in precision ``dtype``."""
        nets = in_precision(self.net, device, dtype), in_precision(self.map_net, device, dtype)
        return TwoTimeModel(nets[0], self.shape, self.evaluator, self.law, self.usual_error, nets[1])


def load_flow_map(
    checkpoint: str | Path,
    evaluator: Evaluator | None = None,
    truth: Ring | GaussianMixture | None = None,
    usual_error: float | None = None,
    flow_map: str | Path | None = None,
) -> TwoTimeModel:
    """The flow map in a safetensors file, or the bundled one of that name (``mnist``, ``clocks``, ``ring``).

    Args:
        checkpoint: path or bundled name.
        evaluator: grades samples.
        truth: the exact model that the network was trained on. Results are compared with the tilted law of this model.
        usual_error: its :func:`fmtt.tilt.typicality.usual_error`, which scripts/evaluate_flow_map.py measures.
        flow_map: another checkpoint, such as an earlier stage, whose flow map is used; its velocity is not.

    Raises:
        CheckpointError: if a file does not exist, is damaged or holds another network.
        ValueError: if samples of the two checkpoints have different shapes.
    """
    net = load_network(checkpoint, *TWO_TIME)
    map_net = net if flow_map is None else load_network(flow_map, *TWO_TIME)
    if map_net.shape != net.shape:
        raise ValueError(f"model.flow_map={flow_map}: makes samples of shape {map_net.shape}, not {net.shape}")
    return TwoTimeModel(net, net.shape, evaluator, None if truth is None else truth.law, usual_error, map_net)
