"""What Hydra's records in a run folder call the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DESCRIBED = ("model", "lookahead", "reward", "mode")  # the config groups that name a run
# OmegaConf reads with the loader in Python, which takes ten times as long; hundreds of runs are read on one page
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """The content of a file, without resolving what it refers to."""
    return yaml.load(path.read_text(), Loader=LOADER)  # a safe loader, whichever of the two it is


def hydra_choices(folder: Path) -> dict[str, str]:
    """What was chosen in each config group, such as ``{"mode": "search"}``, from Hydra's record of the run."""
    record = folder / ".hydra" / "hydra.yaml"
    if not record.is_file():
        return {}
    chosen = read_yaml(record)["hydra"]["runtime"]["choices"]
    return {group: str(choice) for group, choice in chosen.items() if choice and not group.startswith("hydra/")}


def run_name(folder: Path) -> str:
    """What the user typed, which tells runs apart, or else the folder's name."""
    record = folder / ".hydra" / "overrides.yaml"
    words = read_yaml(record) if record.is_file() else []
    return " ".join(words) or folder.resolve().name


def sweep_name(folder: Path) -> str | None:
    """The name of the sweep that the run belongs to; ``multirun.yaml`` lies in the sweep's folder."""
    sweep = next((parent for parent in folder.resolve().parents if (parent / "multirun.yaml").is_file()), None)
    return None if sweep is None else "/".join(sweep.parts[-2:])
