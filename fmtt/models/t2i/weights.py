"""Published weights: loaded from this machine, or fetched if the user asks for it; what is missing gets one line."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


@dataclass(frozen=True)
class Published:
    """The weights of a model, as somebody publishes them.

    Attributes:
        repository: on the hub, or a folder of the same layout.
        licence: its name.
        gated: whether they are given only to users who are logged in and have accepted the licence.
        download: whether what is not on this machine may be fetched.
        setting: the one that holds the repository.
    """

    repository: str
    licence: str
    gated: bool
    download: bool
    setting: str = "model.repository"

    def part(self, kind: Any, folder: str, dtype: Any = None) -> Any:
        """The part in a ``folder`` of the repository; ``kind`` is its class in diffusers or transformers.

        Args:
            kind: the class.
            folder: where the part is.
            dtype: of its numbers, or ``auto`` for that of the file; None for the usual one of the class.

        Raises:
            ValueError: if it is not there.
        """
        options = {} if dtype is None else {"dtype": dtype}
        try:
            made = kind.from_pretrained(
                self.repository, subfolder=folder, local_files_only=not self.download, **options
            )
        except OSError as error:
            raise ValueError(self.missing(folder)) from error
        return made

    def missing(self, folder: str) -> str:
        """One line for a user without the weights."""
        part = folder or "network"
        if Path(self.repository).is_dir():
            return f"{self.setting}={self.repository}: has no {part} that can be read"
        terms = f"licence {self.licence}"
        if self.gated:
            terms += f", to be accepted at https://huggingface.co/{self.repository}; then log in by `hf auth login`"
        begin = f"{self.setting}={self.repository}: the {part} is not on this machine"
        return f"{begin} ({terms}); " + (
            "it could not be fetched" if self.download else f"{self.setting.partition('.')[0]}.download=true fetches it"
        )


def frozen(part: Any, checkpointing: bool = False) -> Any:
    """A part of diffusers as it is used here.

    With ``checkpointing`` its layers keep only their inputs for the gradient, and compute the rest again. Then the
    Laplacian of a reward, which some drifts need, cannot go through it.
    """
    part.eval().requires_grad_(False)
    if checkpointing:
        part.enable_gradient_checkpointing()
    return part


def placed(part: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A part of diffusers on ``device`` and in ``dtype``, but for the layers that diffusers itself keeps in float32."""
    kept = set(part._keep_in_fp32_modules or ())
    part.to(device)
    for name, value in chain(part.named_parameters(), part.named_buffers()):
        if value.is_floating_point() and kept.isdisjoint(name.split(".")):
            value.data = value.data.to(dtype)
    return part


def library(name: str) -> ModuleType:
    """A library of the extra ``t2i``.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"text-to-image models need {name}, of the extra t2i: make setup-t2i, or pip install 'fmtt[t2i]'"
        ) from error
