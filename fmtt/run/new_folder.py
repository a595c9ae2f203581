"""A folder of its own for every command, also for those that start within one second."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from omegaconf import OmegaConf

_made: dict[str, str] = {}  # by this process, which may ask for the folder of its command several times


def new_folder(wanted: str) -> str:
    """``wanted``, or ``wanted-2``, ``wanted-3``, ... if others have taken it; it is made."""
    if wanted not in _made:
        for number in count(1):
            path = Path(wanted if number == 1 else f"{wanted}-{number}")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                continue
            _made[wanted] = str(path)
            break
    return _made[wanted]


def register() -> None:
    """Make ``${new_folder:path}`` known to configurations."""
    OmegaConf.register_new_resolver("new_folder", new_folder, use_cache=True, replace=True)
