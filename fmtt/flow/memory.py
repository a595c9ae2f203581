"""How much memory the tensors take that a computation makes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Memory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside; what libraries use for the moment is not seen.

    Args:
        apart: tensors that are neither made inside nor weights, such as the samples.

    Attributes:
        now: bytes that are alive.
        most: the largest ``now`` so far.
        given: the storages that were there before and have been used, by a number: those of weights.
    """

    def __init__(self, *apart: Tensor) -> None:
        super().__init__()
        self.now = self.most = 0
        self.given = dict[int, torch.UntypedStorage]()
        self._alive = set[int]()
        self._apart = {tensor.untyped_storage()._cdata for tensor in apart}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping | None = None
    ) -> Any:
        used = [leaf.untyped_storage() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        known = {storage._cdata: storage for storage in used}
        before = known.keys() - self._alive - self._apart - self.given.keys()
        self.given |= {key: known[key] for key in before}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage(), known)
        return made

    def _see(self, storage: torch.UntypedStorage, known: Collection[int]) -> None:
        """Count a storage, unless it is counted already, or was there before: that of a weight in a view, say."""
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or key in known:
            return
        self._alive.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size
