"""What a configuration may call: our own parts, and packages that the user names.

Hydra calls whatever ``_target_`` says. A configuration from elsewhere could so read and write files, or run a command.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pydoc import ErrorDuringImport, locate
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

WRITERS = ("fmtt.models.checkpoints",)  # no parts of a run
OURS = tuple(
    f"fmtt.{part}"
    for part in ("data", "evaluation", "flow", "methods", "models", "rewards", "smc", "step", "tilt", "tracking")
)


def made(node: Any, trust: Sequence[str]) -> Any:
    """The object that a part of a configuration describes.

    Raises:
        ValueError: if it calls something that is neither ours nor of the packages ``trust``.
    """
    if isinstance(node, DictConfig | ListConfig):
        for target in targets(OmegaConf.to_container(node, resolve=True)):
            refuse_untrusted(target, trust)
    return instantiate(node)


def targets(node: Any) -> Iterator[Any]:
    """All values of ``_target_`` in plain lists and dictionaries."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def refuse_untrusted(target: Any, trust: Sequence[str]) -> None:
    """ValueError unless ``target`` names something of a trusted package, and comes from one.

    A module of ours imports others, so that ``fmtt.run.cli.os.system`` has our name.
    """
    package = str(target).partition(".")[0]
    if package != "fmtt" and package not in trust:
        raise ValueError(f"_target_: {target} is called only if you trust its package: trust=[{package}]")
    try:
        found = locate(str(target))
    except ErrorDuringImport:
        return  # Hydra says what is wrong with it
    origin = getattr(found, "__module__", None) or ""
    ours = any(origin == known or origin.startswith(f"{known}.") for known in (*OURS, *trust))
    if found is not None and (not ours or origin in WRITERS):
        raise ValueError(f"_target_: {target} is not a part of a run; it comes from {origin or 'no module'}")


def check_trust(trust: Any) -> list[str]:
    """The packages of the setting ``trust``.

    Raises:
        ValueError: if it is no list of names.
    """
    if not isinstance(trust, ListConfig) or not all(isinstance(name, str) and name.isidentifier() for name in trust):
        raise ValueError(f"trust={trust}: must be a list of packages, such as [my_package]")
    return list(trust)
