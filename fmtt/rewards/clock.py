"""The reward of a clock that shows a wanted time, as read by a trained network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fmtt.checks import at_least, finite
from fmtt.data.clock_templates import LEGIBLE, TemplateReader
from fmtt.data.clocks import DRAWS, Looks, render
from fmtt.flow import noise
from fmtt.models.checkpoints import load_network
from fmtt.models.clock_reader import HOUR, ClockReader, hands, shortfall

TOLERANCE = 5.0  # minutes
REAL = 1000  # clocks that samples are compared with


def minutes(name: str, value: object) -> float:
    """Minutes after twelve of a time such as ``4:45``; raises ValueError if ``value`` is not such a time."""
    match = re.fullmatch(r"(\d\d?):([0-5]\d)", value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 12:
        raise ValueError(f"{name}={value}: must be a time of the dial such as 4:45, from 0:00 to 12:59")
    return int(match[1]) % 12 * HOUR + int(match[2])


@dataclass(frozen=True)
class Clock:
    """``r = -(1 - cos a) - hour (1 - cos b)`` for clocks ``(B, 1, size, size)``.

    a and b are the angles by which the minute hand and the hour hand are off. With ``hour = 1``, an error of an hour
    costs as little as an error of five minutes, since in both cases one hand is off by 30 degrees. Faint or doubled
    hands cost more: see :func:`fmtt.models.clock_reader.shortfall`.

    Attributes:
        time: the wanted time, such as ``4:45``.
        hour: weight of the hour hand; that of the minute hand is 1.
        checkpoint: the reader, a file or the bundled ``clock_reader``.

    Raises:
        ValueError: if ``time`` is not a time of the dial.
        CheckpointError: if the file does not exist or is damaged.
    """

    time: str = "4:45"
    hour: float = 1.0
    checkpoint: str = "clock_reader"
    scale: float = 1.0
    network: ClockReader = field(init=False, repr=False, compare=False)
    reader: TemplateReader = field(init=False, repr=False, compare=False)
    wanted: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        time = minutes("reward.time", self.time)
        at_least("reward.hour", self.hour, 0)
        finite("reward.scale", self.scale)
        object.__setattr__(self, "network", load_network(self.checkpoint, ClockReader))
        object.__setattr__(self, "reader", TemplateReader(self.network.size))
        object.__setattr__(self, "wanted", hands(torch.tensor([time])))

    def __call__(self, x: Tensor) -> Tensor:
        shape = (1, self.network.size, self.network.size)
        if x.shape[1:] != shape:
            raise ValueError(f"reward clock needs images {shape}, not samples of shape {tuple(x.shape[1:])}")
        return -shortfall(self.network.on(x.device)(x).float(), self.wanted.to(x.device), self.hour)

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """Whether each clock shows the time within five minutes, and whether it is legible; ``(B,)`` each.

        A :class:`~fmtt.data.clock_templates.TemplateReader` decides, not the network of the reward.
        """
        reading, time = self.reader(x), minutes("reward.time", self.time)
        return {
            "shows_the_time": reading.shows(time, TOLERANCE).double(),
            "legible": (reading.fit >= LEGIBLE).double(),
        }

    def real(self) -> Tensor:
        """Clocks as those of the data that show the time, ``(REAL, 1, size, size)``."""
        times = torch.full((REAL,), minutes("reward.time", self.time))
        return render(times, noise.uniform((REAL, DRAWS), 0, 0, "real clocks"), Looks(), self.network.size).float()
