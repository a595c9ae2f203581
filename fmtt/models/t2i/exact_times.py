"""Times that are not rounded to the type of the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def exact_times(embedding: nn.Module, *calls: Tensor | None) -> Iterator[None]:
    """Inside, call number k of ``embedding`` is told ``calls[k]`` as its first argument; None leaves a call as it is.

    Transformers of diffusers round times to their own type before they embed them: in bfloat16 .999 becomes 1.
    """
    waiting = iter(calls)

    def told(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        value = next(waiting, None)
        return given if value is None else (value, *given[1:])

    handle = embedding.register_forward_pre_hook(told)
    try:
        yield
    finally:
        handle.remove()
