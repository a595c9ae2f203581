"""The prompts of a run, from the command line or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, ListConfig

HEADING = "#"  # begins a line of a file that names the category of the prompts below it


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run.

    Attributes:
        texts: of each prompt.
        categories: of each prompt; an empty text where a prompt has none.
    """

    texts: Sequence[str]
    categories: Sequence[str]


def read_prompts(config: DictConfig) -> Prompts | None:
    """``prompt``, or ``prompts_file`` with one prompt a line; None if neither is given.

    A line ``# counting`` in the file gives the prompts below it the category ``counting``.

    Raises:
        ValueError: if both are given, if a text is empty, or if there is no such file.
    """
    given, path = config.prompt, config.prompts_file
    if given is not None and path is not None:
        raise ValueError("prompt, prompts_file: give one of the two")
    if path is not None:
        return _of_file(path)
    if given is None:
        return None
    texts = list(given) if isinstance(given, ListConfig) else [given]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"prompt={given}: must be a text, or a list of texts")
    return Prompts(texts, [""] * len(texts))


def _of_file(path: str) -> Prompts:
    if not Path(path).is_file():
        raise ValueError(f"prompts_file={path}: there is no such file")
    texts, categories, category = list[str](), list[str](), ""
    for line in filter(None, map(str.strip, Path(path).read_text().splitlines())):
        if line.startswith(HEADING):
            category = line.removeprefix(HEADING).strip()
        else:
            texts.append(line)
            categories.append(category)
    if not texts:
        raise ValueError(f"prompts_file={path}: there is no prompt in it")
    return Prompts(texts, categories)
