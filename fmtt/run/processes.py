"""Several processes that hold one run together, one for each device, started by Fabric or by ``torchrun``.

Every process knows all particles, and takes the same decisions. Each computes its share of the batches: network,
decoder and reward, with gradients; what it finds goes to the others. So a large group is shared out as well as many
groups, and the results do not depend on the number of processes, but for rounding where batches have other sizes. The
first process alone writes, logs and speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities import move_data_to_device

from fmtt.checks import whole_number
from fmtt.flow.faults import CallError, UnavailableError
from fmtt.flow.meter import Meter
from fmtt.run.errors import ConfigurationError, one_line
from fmtt.run.rank import started_outside, tasks_of_slurm

Made = TypeVar("Made")


def one_process(device: str) -> Fabric:
    """The device of this process. In a job of SLURM, too, a run is one process; Lightning would look for ``srun``."""
    return Fabric(accelerator=device, devices=1, precision="32-true", plugins=LightningEnvironment())


def launched(device: str, devices: int) -> Fabric:
    """The devices of a run, with one process for each; those that are not there yet are started.

    Raises:
        ConfigurationError: if this is a sweep, and the processes are not there.
    """
    if whole_number("devices", devices, 1) == 1:
        return one_process(device)
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN and not tasks_of_slurm():
        needed = f"a sweep needs a launcher with tasks: launcher=slurm hydra.launcher.tasks_per_node={devices}"
        raise ConfigurationError(f"devices={devices}: {needed}")
    plugins = None if started_outside() else LightningEnvironment()
    fabric = Fabric(accelerator=device, devices=devices, strategy="ddp", precision="32-true", plugins=plugins)
    fabric.launch()
    return fabric


@dataclass
class Together:
    """The :class:`fmtt.flow.batches.Processes` of a run.

    Attributes:
        fabric: its devices.
        meter: the ledger, in which the calls of all processes are entered; None before there is one.
    """

    fabric: Fabric
    meter: Meter | None = field(default=None)

    @property
    def rank(self) -> int:
        return self.fabric.global_rank

    @property
    def count(self) -> int:
        return self.fabric.world_size

    def exchange(self, compute: Callable[[], list[Made]]) -> list[Made]:
        """What ``compute`` makes in each process, on the device of this one.

        Raises:
            Exception: that of the first process in which ``compute`` raised one.
            UnavailableError: if another process has ended.
        """
        before = {} if self.meter is None else dict(self.meter.counts)
        made: list[Made] = []
        fault: Exception | None = None
        try:
            made = compute()
        except Exception as error:
            fault = error
        spent = {} if self.meter is None else {name: self.meter.counts[name] - before[name] for name in before}
        shares = self._gathered((move_data_to_device(made, torch.device("cpu")), portable(fault), spent))
        self._raise(fault, [error for _, error, _ in shares])
        for number, (_, _, theirs) in enumerate(shares):
            if number != self.rank and self.meter is not None:
                for name, count in theirs.items():
                    self.meter.counts[name] += count
        found = [made if number == self.rank else share for number, (share, _, _) in enumerate(shares)]
        return [move_data_to_device(one, self.fabric.device) for share in found for one in share]

    def agreed(self, task: Callable[[], Made]) -> Made:
        """What ``task`` returns here, if it returns in all processes. It must not :meth:`exchange` anything.

        Raises:
            Exception: as :meth:`exchange`.
        """
        if self.count == 1:
            return task()
        fault: Exception | None = None
        try:
            made = task()
        except Exception as error:
            fault = error
        self._raise(fault, self._gathered(portable(fault)))
        return made

    def _raise(self, own: Exception | None, faults: Sequence[Exception | None]) -> None:
        """Raise the error of the first process that has one; here it is ``own``, with its traceback."""
        for number, error in enumerate(faults):
            if error is not None:
                raise own if own is not None and number == self.rank else error

    def _gathered(self, own: Any) -> list[Any]:
        shares: list[Any] = [None] * self.count
        try:
            torch.distributed.all_gather_object(shares, own)
        except RuntimeError as error:
            raise UnavailableError("another process of the run has ended") from error
        return shares

    def told(self, value: Made | None) -> Made:
        """The ``value`` of the first process, in all of them.

        Raises:
            UnavailableError: if the first process has ended.
        """
        try:
            return self.fabric.broadcast(value, src=0)  # type: ignore[return-value]
        except RuntimeError as error:
            raise UnavailableError("the first process of the run has ended") from error


def portable(error: Exception | None) -> Exception | None:
    """An error as another process can raise it."""
    if error is None or type(error).__module__.startswith(("fmtt.", "builtins", "torch")):
        return error
    return CallError(f"{type(error).__name__}: {one_line(error)}")
