"""Evaluators grade samples. They use networks and readers that no reward uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from fmtt.data.clock_templates import LEGIBLE, TemplateReader
from fmtt.data.scene_reader import PIECES, read
from fmtt.flow.protocols import Verdict
from fmtt.models.checkpoints import load_network
from fmtt.models.classifier import SURE, DigitClassifier
from fmtt.models.clock_reader import HOUR, ClockReader
from fmtt.models.question_net import QuestionNet


@dataclass(frozen=True)
class DigitEvaluator:
    """Grades digits by a classifier. A sample is recognised if one class has a probability above .9.

    Attributes:
        checkpoint: the classifier, a file or a bundled one.
    """

    classes: ClassVar[int] = 10
    checkpoint: str = "digit_evaluator"
    network: DigitClassifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", load_network(self.checkpoint, DigitClassifier))

    def __call__(self, x: Tensor) -> Verdict:
        probability, label = self.network.on(x.device)(x).double().softmax(1).max(1)
        return Verdict(label, probability > SURE)

    def features(self, x: Tensor) -> Tensor:
        return self.network.on(x.device).features(x)


@dataclass(frozen=True)
class ClockEvaluator:
    """Grades clocks. The class is the hour; a clock is recognised if :class:`TemplateReader` finds it legible.

    Attributes:
        size: height and width of the images.
        checkpoint: a clock reader for the features, a file or a bundled one.
    """

    classes: ClassVar[int] = 12
    size: int = 32
    checkpoint: str = "clock_evaluator"
    reader: TemplateReader = field(init=False, repr=False, compare=False)
    network: ClockReader = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reader", TemplateReader(self.size))
        object.__setattr__(self, "network", load_network(self.checkpoint, ClockReader))

    def __call__(self, x: Tensor) -> Verdict:
        reading = self.reader(x)
        return Verdict(torch.floor(reading.times / HOUR).long(), reading.fit >= LEGIBLE)

    def features(self, x: Tensor) -> Tensor:
        return self.network.on(x.device).features(x)


@dataclass(frozen=True)
class SceneEvaluator:
    """Grades scenes. The class is the number of objects; a scene is recognised if the exact judge can read it.

    Attributes:
        checkpoint: a network that answers questions, for the features; a file or a bundled one.
    """

    classes: ClassVar[int] = PIECES + 1
    checkpoint: str = "question_evaluator"
    network: QuestionNet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", load_network(self.checkpoint, QuestionNet))

    def __call__(self, x: Tensor) -> Verdict:
        reading = read(x)
        return Verdict(reading.things.count, ~reading.broken)

    def features(self, x: Tensor) -> Tensor:
        return self.network.on(x.device).see(x).cells.mean(1)
