"""What can go wrong in a model or a reward of a user, or in what they ask."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import torch
from torch import Tensor


class CallError(ValueError):
    """A model or a reward has raised, or returned what it must not. The message is one line."""


class NoGradientError(CallError):
    """A gradient of a reward is needed, and it has none."""


class UnavailableError(RuntimeError):
    """Something that a run needs does not answer now. The message is one line; the run can be resumed."""


def checked(call: Callable[..., Tensor], name: str, *arguments: Tensor) -> Tensor:
    """What ``call`` returns.

    Raises:
        CallError: if it raises or ends the process, with the line where; ``name`` says what it is. What is no fault of
            its own, such as a lack of memory, is raised as it is.
    """
    try:
        made = call(*arguments)
    except (CallError, UnavailableError, FloatingPointError, torch.OutOfMemoryError):
        raise
    except ValueError as error:  # ours are whole sentences
        raise CallError(" ".join(str(error).split())) from error
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        raise CallError(f"{name} failed with {what} ({frame.filename}, line {frame.lineno})") from error
    if not isinstance(made, Tensor):
        raise CallError(f"{name} must return a tensor, got {type(made).__name__}")
    if made.is_complex():
        raise CallError(f"{name} must return real numbers, got {made.dtype}")
    return made
