"""The names of a run, its choices and its sweep, from Hydra's records in the run folder."""

from __future__ import annotations

from pathlib import Path

from fmtt.run_folder import HYDRA_SETTINGS, MULTIRUN, read_overrides, read_yaml

DESCRIBED = ("model", "lookahead", "reward", "mode")  # the config groups that name a run


def hydra_choices(folder: Path) -> dict[str, str]:
    """The choice in each config group, such as ``{"mode": "search"}``; nothing if Hydra was not used."""
    record = folder / HYDRA_SETTINGS
    if not record.is_file():
        return {}
    chosen = read_yaml(record)["hydra"]["runtime"]["choices"]
    return {group: str(choice) for group, choice in chosen.items() if choice and not group.startswith("hydra/")}


def run_name(folder: Path) -> str:
    """The words that the user typed, which tell runs apart; without any, the name of the folder."""
    return " ".join(read_overrides(folder)) or folder.resolve().name


def sweep_name(folder: Path) -> str | None:
    """The name of the sweep that the run belongs to, None if there is none; Hydra's record lies in its folder."""
    sweep = next((parent for parent in folder.resolve().parents if (parent / MULTIRUN).is_file()), None)
    return None if sweep is None else "/".join(sweep.parts[-2:])
