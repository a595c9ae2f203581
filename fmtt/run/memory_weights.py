"""The weights of a run, in bytes: those on a device, and those that the machine reads from files as they are used."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from pathlib import Path

import torch
from torch import Tensor

from fmtt.flow.protocols import Velocity, as_movable

MAPS = Path("/proc/self/maps")  # of Linux; elsewhere nothing is known of files
PATH = 5  # the column of the file in a line of it


def nbytes(storages: Iterable[torch.UntypedStorage], device: torch.device) -> int:
    """Bytes of those on a kind of device; tensors without content are taken to be there, too."""
    return sum(storage.nbytes() for storage in storages if storage.device.type in (device.type, "meta"))


def in_files(storages: Collection[torch.UntypedStorage]) -> int:
    """Bytes of those that lie in a file on the disk.

    Libraries map the safetensors files of weights into memory. The machine may drop such pages and read them again, so
    it counts them as free. A run that needs them in each step would read them from the disk each time.
    """
    regions = mapped_regions(MAPS.read_text()) if MAPS.is_file() else []
    starts = [start for start, _ in regions]

    def mapped(storage: torch.UntypedStorage) -> bool:
        if storage.device.type != "cpu" or not storage.nbytes():
            return False
        try:
            address = storage.data_ptr()
        except RuntimeError:  # of a tensor that only wraps others
            return False
        place = bisect_right(starts, address) - 1
        return place >= 0 and address < regions[place][1]

    return sum(storage.nbytes() for storage in storages if mapped(storage))


def mapped_regions(maps: str) -> list[tuple[int, int]]:
    """First address, and that behind the last, of all regions in the text of ``/proc/self/maps`` that are of files.

    Devices and shared memory, which are in ``/dev``, are no files on a disk.
    """
    lines = [line.split(maxsplit=PATH) for line in maps.splitlines()]
    files = [line[0] for line in lines if len(line) > PATH and line[PATH].startswith("/")
             and not line[PATH].startswith("/dev/")]  # fmt: skip
    return sorted((int(start, 16), int(end, 16)) for start, _, end in (region.partition("-") for region in files))


def tensors_of(model: Velocity) -> list[Tensor]:
    """Parameters and buffers of the networks of a model, once each; none of a formula."""
    networks = as_movable(model).networks
    return list(dict.fromkeys(value for network in networks for value in (*network.parameters(), *network.buffers())))


def taken_in(model: Velocity, dtype: torch.dtype) -> int:
    """Bytes that the networks of a model take in ``dtype``; whole numbers keep their type."""
    sizes = ((value, dtype.itemsize if value.is_floating_point() else value.itemsize) for value in tensors_of(model))
    return sum(value.numel() * size for value, size in sizes)
