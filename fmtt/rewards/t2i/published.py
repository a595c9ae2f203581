"""Published weights of rewards: whole repositories, and single files of tensors."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fmtt.models.t2i.weights import Published, library


@dataclass(frozen=True)
class PublishedReward(Published):
    """As :class:`fmtt.models.t2i.weights.Published`; its parts are not in folders."""

    setting: str = "reward.repository"

    def config(self, kind: Any) -> Any:
        """The configuration of a network; ``kind`` is its class in transformers.

        Raises:
            ValueError: if it is not there.
        """
        return self.part(kind, "")

    def tokenizer(self) -> Any:
        """The tokenizer.

        Raises:
            ValueError: if it is not there.
        """
        try:
            made = self.part(library("transformers").AutoTokenizer, "")
        except ValueError as error:  # for some folders transformers has an error of several lines
            raise ValueError(self.missing("tokenizer")) from error
        if made.get_vocab().keys() <= set(made.all_special_tokens):  # for others, a tokenizer that knows no words
            raise ValueError(self.missing("tokenizer"))
        return made

    def network(self, kind: Any) -> Any:
        """A network in float32; ``kind`` is its class in transformers.

        Raises:
            ValueError: if it is not there, or lacks weights.
        """
        return self.network_in(kind, "", dtype=torch.float32, spare=True)

    def tensors(self, file: str) -> Mapping[str, Any]:
        """What a ``file`` of ``torch.save`` holds.

        Raises:
            ValueError: if it is not there, or holds more than tensors.
        """
        found = self.part(TensorFile, file)
        held = found.get("state_dict", found)
        self.remember(file, {name: value for name, value in held.items() if isinstance(value, torch.Tensor)})
        return found


class TensorFile:
    """Reads a file of a repository in the way in which classes of transformers read a folder."""

    @staticmethod
    def from_pretrained(repository: str, subfolder: str, local_files_only: bool) -> Mapping[str, Any]:
        """What the file ``subfolder`` holds.

        Raises:
            OSError: if it is not there, or holds more than tensors.
        """
        path = Path(repository) / subfolder
        if not Path(repository).is_dir():
            fetch = library("huggingface_hub").hf_hub_download
            path = fetch(repository, subfolder, local_files_only=local_files_only)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
            raise OSError(f"{path} is damaged") from error
