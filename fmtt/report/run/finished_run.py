"""A finished run, read from its folder into one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmtt import run_folder
from fmtt.run_folder import Array, Metrics
from fmtt.tracking import hydra_choices


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
        folder: where it lies.
        config: the resolved configuration as YAML.
        metrics: flat names; numbers, or lists with one number per group.
        history: a column ``(steps,)`` for each name.
        environment: versions, commit, device.
        overrides: the words ``key=value`` that the user typed.
        choices: the choice in each config group.
        arrays: the particles at the end, as in :data:`fmtt.run_folder.SAMPLES_ARRAYS`; decoded, if there is a decoder.
        film: frames of the population on its way, as in :data:`fmtt.run_folder.FILM_ARRAYS`; nothing if none were kept.
        prompts: for each prompt its number, its text and its metrics, as texts; nothing for a run without prompts.
        returned: for each group what is said of its returned sample, as texts; nothing for a run of an older version.
    """

    folder: Path
    config: str
    metrics: Metrics
    history: Mapping[str, Array]
    environment: Mapping[str, Any]
    overrides: tuple[str, ...]
    choices: Mapping[str, str]
    arrays: Mapping[str, Array]
    film: Mapping[str, Array]
    prompts: Sequence[Mapping[str, str]]
    returned: Sequence[Mapping[str, str]]


def read_finished_run(folder: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        FileNotFoundError: if the metrics, the history, the configuration or the samples are missing.
    """
    return FinishedRun(
        folder=folder,
        config=(folder / run_folder.CONFIG).read_text(),
        metrics=run_folder.read_metrics(folder),
        history=run_folder.read_history(folder),
        environment=run_folder.read_environment(folder),
        overrides=run_folder.read_overrides(folder),
        choices=hydra_choices(folder),
        arrays=run_folder.as_seen(run_folder.read_samples(folder)),
        film=run_folder.read_film(folder),
        prompts=run_folder.read_prompts(folder),
        returned=run_folder.read_returned(folder),
    )
