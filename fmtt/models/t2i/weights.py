"""Published weights: loaded whole, or fetched if the user asks for it; what is missing gets one line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from warnings import catch_warnings, filterwarnings

from safetensors import SafetensorError
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing
from torch.utils.checkpoint import checkpoint

from fmtt.models.checkpoints import fingerprints, sketch_of
from fmtt.models.t2i.file_types import type_in

BLOCKS = {  # those that compute again, of networks for which diffusers has no switch, or a wrong one
    "AutoencoderDC": ("ResBlock", "EfficientViTBlock"),
    "AutoencoderKLHunyuanImage": ("HunyuanImageResnetBlock", "HunyuanImageAttentionBlock"),
    "ChromaTransformer2DModel": ("ChromaTransformerBlock", "ChromaSingleTransformerBlock"),  # it forgets a mask
    "AutoencoderKLQwenImage": (),  # its blocks hand on what they have seen, and cannot compute again
}


KEPT: ContextVar[dict[Any, Any] | None] = ContextVar("KEPT", default=None)


@contextmanager
def loaded_once() -> Iterator[None]:
    """What is loaded inside is loaded once, and stays in memory until the end: for encoders of many texts."""
    token = KEPT.set({})
    try:
        yield
    finally:
        KEPT.reset(token)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, diffusers does not warn of an argument that it gives to the hub itself."""
    with catch_warnings():
        filterwarnings("ignore", "The .?local_dir_use_symlinks.? argument")
        yield


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

    def part(self, kind: Any, folder: str) -> Any:
        """The part without weights in a ``folder`` of the repository, such as a scheduler or a tokenizer.

        Args:
            kind: its class in diffusers or transformers, or another with such a ``from_pretrained``.
            folder: where the part is.

        Raises:
            ValueError: if it is not there.
        """
        return self._loaded(kind, folder, {})

    def class_in(self, kind: Any, folder: str = "") -> str:
        """The name of the class that the configuration in a ``folder`` is for.

        Args:
            kind: a class in diffusers whose configuration has the same file name.
            folder: where the part is; empty for the pipeline itself.

        Raises:
            ValueError: if there is no such configuration.
        """
        place = {"subfolder": folder} if folder else {}
        try:
            with quiet():
                found = kind.load_config(self.repository, local_files_only=not self.download, **place)
        except OSError as error:
            raise ValueError(self.missing(folder or kind.config_name)) from error
        return str(found["_class_name"])

    def network_in(self, kind: Any, folder: str, dtype: Any = None, spare: bool = False) -> Any:
        """The network in a ``folder`` of the repository. All of its weights come from the file.

        diffusers and transformers only warn of weights that a file lacks, and fill them at random. Weights that are
        tied to others are not lacking. Tensors that the libraries ignore by design, such as ``position_ids``, do not
        count.

        Args:
            kind: its class in diffusers or transformers.
            folder: where the network is.
            dtype: of its numbers, or ``auto`` for that of the file; None for the usual one of the class.
            spare: whether the file may hold more. Those of text encoders often have heads and towers that are not used
                here; those of transformers and autoencoders have none.

        Raises:
            ValueError: if it is not there, lacks weights, has some of other shapes, or holds more than it may.
        """
        # Without ignore_mismatched_sizes other shapes are an error of several lines instead of a report.
        options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
        network, report = self._loaded(kind, folder, options if dtype is None else options | {"dtype": dtype})
        begin, name = f"{self.setting}={self.repository}: the {folder or 'network'}", type(network).__name__
        lacking, others, unknown = (sorted(report[f"{key}_keys"]) for key in ("missing", "mismatched", "unexpected"))
        if lacking:
            raise ValueError(f"{begin} lacks {len(lacking)} of the weights of {name}, the first is {lacking[0]}")
        if others:
            key, found, wanted = others[0]
            raise ValueError(f"{begin} has {key} of shape {tuple(found)}, must be {tuple(wanted)}")
        if unknown and not spare:
            raise ValueError(f"{begin} has {len(unknown)} tensors that {name} does not use, the first is {unknown[0]}")
        self.remember(folder, network.state_dict())
        return network

    def backbone_in(self, kind: Any, folder: str) -> Any:
        """The network that moves samples, a class of diffusers, in the type of its file: it is the largest part.

        Layers that diffusers itself keeps in float32 are in float32 whatever the file has.

        Raises:
            ValueError: as :meth:`network_in`.
        """
        apart = kind._keep_in_fp32_modules or ()
        return self.network_in(kind, folder, dtype=type_in(self.repository, folder, self.download, apart))

    def _loaded(self, kind: Any, folder: str, options: Mapping[str, Any]) -> Any:
        """What ``from_pretrained`` gives.

        Raises:
            ValueError: if there is nothing that can be read.
        """
        kept, key = KEPT.get(), (self.repository, folder, kind)
        if kept is not None and key in kept:
            return kept[key]
        try:
            with quiet():
                made = kind.from_pretrained(
                    self.repository, subfolder=folder, local_files_only=not self.download, **options
                )
        except (OSError, SafetensorError) as error:
            raise ValueError(self.missing(folder)) from error
        if kept is not None:
            kept[key] = made
        return made

    def remember(self, folder: str, tensors: Mapping[str, Any]) -> None:
        """Let checkpoints of the run know these weights."""
        fingerprints[f"{self.setting}={self.repository} {folder}"] = sketch_of(tensors)

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
    kind = type(part).__name__
    if checkpointing and kind in BLOCKS:
        apply_activation_checkpointing(part, check_fn=lambda layer: type(layer).__name__ in BLOCKS[kind])
    elif checkpointing:
        part.enable_gradient_checkpointing(partial(checkpoint, use_reentrant=False))  # diffusers' own takes no keywords
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
            f"text-to-image models need {name}, of the extra t2i: make setup-t2i,"
            " or pip install '.[t2i]' in the checkout"
        ) from error
