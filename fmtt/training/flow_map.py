"""The LightningModule that trains one network as velocity and flow map."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fmtt.checks import whole_number
from fmtt.flow import noise
from fmtt.training import objectives
from fmtt.training.captioned import told
from fmtt.training.data import Data
from fmtt.training.muon import Muon
from fmtt.training.objectives import AverageVelocity
from fmtt.training.off_diagonal import OffDiagonal

NO_MATRICES = ("times", "reader.words", "reader.places")  # parameters that are lists of vectors, or few


def warm_average(decay: float) -> Callable[[list[Tensor], list[Tensor], int], None]:
    """An exponential moving average whose decay grows to ``decay`` with the number of updates n as (1+n)/(10+n)."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: int) -> None:
        rate = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - rate)

    return update


class FlowMapTraining(L.LightningModule):
    """Flow matching on the diagonal (s = t) from the start, a flow-map objective for s < t from step ``map_from`` on.

    Matrices, which include the weights of convolutions, are optimised by Muon, all other parameters by AdamW. Both
    learning rates warm up linearly and fall to zero by a cosine. The running average of the weights is exported. All
    draws are keyed by (seed, step), so a resumed training gives the same result as one without interruption.

    Args:
        net: the two-time network.
        data: the training samples.
        objective: the off-diagonal loss.
        steps: optimisation steps in total.
        batch: samples on the diagonal at each step; 0 if the objective teaches the velocity, too.
        map_batch: pairs of times off the diagonal at each step.
        map_from: first step with off-diagonal pairs.
        lr: learning rate of AdamW.
        lr_matrix: learning rate of Muon.
        warmup: steps of linear warm-up.
        ema: decay of the running average.
        clip: largest norm of the gradient.
        seed: seed of all draws.
        teacher: the velocity that the off-diagonal objective uses as its teacher, ``(x, s, s) -> b_s(x)``; by default
            the running average of the network itself.
    """

    def __init__(
        self,
        net: nn.Module,
        data: Data,
        objective: OffDiagonal,
        steps: int,
        batch: int,
        map_batch: int,
        map_from: int,
        lr: float,
        lr_matrix: float,
        warmup: int,
        ema: float,
        clip: float,
        seed: int,
        teacher: AverageVelocity | None = None,
    ):
        super().__init__()
        whole_number("training.steps", steps, 1)
        if whole_number("training.batch", batch, 0) == 0 and map_from > 0:
            raise ValueError("training.batch=0: needs training.map_from=0, or the first steps learn nothing")
        self.automatic_optimization = False
        self.net = net
        self.average = AveragedModel(net, multi_avg_fn=warm_average(ema))
        self.objective = objective
        self.data = data
        self.given_teacher = teacher
        self.steps, self.batch, self.map_batch, self.map_from = steps, batch, map_batch, map_from
        self.lr, self.lr_matrix, self.warmup, self.clip, self.seed = lr, lr_matrix, warmup, clip, seed
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    @property
    def teacher(self) -> AverageVelocity:
        return self.average.module if self.given_teacher is None else self.given_teacher

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        matrices = [p for name, p in self.net.named_parameters() if p.ndim == 2 and not name.startswith(NO_MATRICES)]
        ids = {id(p) for p in matrices}
        others = [p for p in self.net.parameters() if id(p) not in ids]
        return [
            Muon(matrices, self.lr_matrix),
            torch.optim.AdamW(others, lr=self.lr, betas=(0.9, 0.99), weight_decay=0.0),
        ]

    def schedule(self, step: int) -> float:
        """Factor of the learning rates at ``step``."""
        return min(1.0, (step + 1) / self.warmup) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def diagonal(self, step: int) -> Tensor:
        """The flow-matching losses ``(batch,)``. Half of the times are uniform, half are logit-normal."""
        x1, tokens = self.data.draw(self.batch, self.seed, step, "images").to(self.device)
        x0 = noise.normal(x1.shape, self.seed, step, "noise", device=self.device)
        stratified = (torch.arange(self.batch) + noise.uniform((self.batch,), self.seed, step, "times")) / self.batch
        logistic = torch.sigmoid(torch.special.ndtri(stratified.clamp(1e-6, 1 - 1e-6)))
        t = torch.where(torch.arange(self.batch) % 2 == 0, stratified, logistic).float().to(self.device)
        return objectives.flow_matching(told(self.net, tokens), x0, x1, t)

    def training_step(self, batch: object, batch_idx: int) -> None:
        step = int(self.step)
        losses = []
        if self.batch:
            losses.append(self.diagonal(step))
            self.log("loss/diagonal", losses[0].mean(), prog_bar=True)
        if step >= self.map_from:
            drawn = self.data.draw(self.map_batch, self.seed, step, "map images").to(self.device)
            losses.append(self.objective(self.net, self.teacher, drawn, step))
            self.log("loss/map", losses[-1].mean(), prog_bar=True)
        optimizers = self.optimizers()
        self.manual_backward(torch.cat(losses).mean())
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        for optimizer, lr in zip(optimizers, (self.lr_matrix, self.lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * self.schedule(step)
            optimizer.step()
            optimizer.zero_grad()
        self.average.update_parameters(self.net)
        self.step += 1
        self.log("gradient_norm", norm, prog_bar=True)
