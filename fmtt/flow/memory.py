"""How much memory the tensors take that a computation makes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Memory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside; what libraries use for the moment is not seen.

    Attributes:
        now: bytes that are alive.
        most: the largest ``now`` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._alive = set[int]()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping | None = None
    ) -> Any:
        known = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage(), known)
        return made

    def _see(self, storage: torch.UntypedStorage, known: set[int]) -> None:
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
