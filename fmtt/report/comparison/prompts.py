"""What the comparison page knows of each prompt: its category, results, and returned pictures with their verdicts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fmtt.report.common.estimates import error_name
from fmtt.report.common.metric_titles import COSTS
from fmtt.report.comparison.runs import ComparedRun
from fmtt.run_folder import RETURNED_PICTURES, number_in, verdicts_in

EACH = 4  # pictures of a prompt, for each group of runs


def prompts_of(runs: Sequence[ComparedRun]) -> dict[str, str]:
    """The texts of the prompts of all runs, with the category of each; an empty text where there is none."""
    return {row["text"]: row.get("category", "") for run in runs for row in run.prompts}


def metrics_by_prompt(runs: Sequence[ComparedRun], metrics: Sequence[str]) -> list[str]:
    """Those of ``metrics`` that are known for each prompt; costs are not."""
    rows = [run.prompts[0] for run in runs if run.prompts]
    return [name for name in metrics if name not in COSTS and any(name in row for row in rows)]


def verdict_names(runs: Sequence[ComparedRun]) -> list[str]:
    """What is said of returned samples, in the order of the first run that says it."""
    rows = [run.returned[0] for run in runs if run.returned]
    return list(dict.fromkeys(name for row in rows for name in verdicts_in(row)))


def prompt_data(
    run: ComparedRun, texts: Sequence[str], metrics: Sequence[str], verdicts: Sequence[str]
) -> dict[str, Any]:
    """By the place of a prompt in ``texts``: its estimates, pairs in the order of ``metrics``, and its pictures.

    A picture is the number of its file and its verdicts in the order of ``verdicts``; None for those without a value.
    """
    places = {text: place for place, text in enumerate(texts)}
    estimates, pictures = {}, {}
    for row in run.prompts:
        place = places[row["text"]]
        estimates[place] = [pair(row, name) for name in metrics]
        own = [said for said in run.returned if said["prompt"] == row["prompt"]][:EACH]
        pictures[place] = [[int(said["group"]), *(number(said.get(name), 3) for name in verdicts)] for said in own]
    return {"prompts": estimates, "returned": pictures}


def pictures_link(run: ComparedRun, page: Path) -> str | None:
    """The link to the folder of the returned pictures; None if there is none."""
    folder = run.folder / RETURNED_PICTURES
    return quote(Path(os.path.relpath(folder, page.resolve().parent)).as_posix()) if folder.is_dir() else None


def pair(row: Mapping[str, str], name: str) -> list[float | None] | None:
    """A metric of a prompt and its standard error."""
    value = number(row.get(name), 5)
    return None if value is None else [value, number(row.get(error_name(row, name)), 3)]


def number(text: str | None, digits: int) -> float | None:
    """The number of a cell in few digits; None for an empty cell or NaN."""
    value = number_in(text)
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
