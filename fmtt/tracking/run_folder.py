"""What Hydra's records in a run folder call the run."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

DESCRIBED = ("model", "lookahead", "reward", "mode")  # the config groups that name a run


def hydra_choices(folder: Path) -> dict[str, str]:
    """What was chosen in each config group, such as ``{"mode": "search"}``, from Hydra's record of the run."""
    record = folder / ".hydra" / "hydra.yaml"
    if not record.is_file():
        return {}
    chosen = OmegaConf.load(record).hydra.runtime.choices
    return {group: str(choice) for group, choice in chosen.items() if choice and not group.startswith("hydra/")}


def run_name(folder: Path) -> str:
    """What the user typed, which tells runs apart, or else the folder's name."""
    record = folder / ".hydra" / "overrides.yaml"
    words = list(OmegaConf.load(record)) if record.is_file() else []
    return " ".join(words) or folder.resolve().name


def sweep_name(folder: Path) -> str | None:
    """The name of the sweep that the run belongs to; ``multirun.yaml`` lies in the sweep's folder."""
    sweep = next((parent for parent in folder.resolve().parents if (parent / "multirun.yaml").is_file()), None)
    return None if sweep is None else "/".join(sweep.parts[-2:])
