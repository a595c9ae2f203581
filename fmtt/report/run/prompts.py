"""What a page shows of the prompts of a run: a table of their results, and the pictures that were returned for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np

from fmtt.report.common import html
from fmtt.report.common.estimates import text_of
from fmtt.report.run.finished_run import FinishedRun
from fmtt.run_folder import RETURNED_PICTURES

PROMPTS, EACH = 48, 4  # the most prompts with pictures on a page, and the most pictures of each
COLUMNS = {"reward/base_mean": "Base reward", "reward/weighted_mean": "Reward", "log_z/mean": "log Z"}


def prompts(run: FinishedRun) -> str:
    """Pictures under their prompts, then one row for each prompt over its own groups; nothing without prompts."""
    if not run.prompts:
        return ""
    known = {name: title for name, title in COLUMNS.items() if name in run.prompts[0]}
    rows: list[list[html.Cell]] = [[row["text"], *(of_prompt(row, name) for name in known)] for row in run.prompts]
    caption = "Mean ± standard error over the groups of each prompt"
    head = ["Prompt", *known.values()]
    return gallery(run) + html.table(head, rows, numeric=range(1, len(known) + 1), caption=caption)


def gallery(run: FinishedRun) -> str:
    """The pictures returned for the groups of each prompt above its text; nothing if samples are no pictures."""
    folder, prompt = run.folder / RETURNED_PICTURES, run.arrays.get("prompt")
    if prompt is None or not folder.is_dir():
        return ""
    figures = []
    for number, row in enumerate(run.prompts[:PROMPTS]):
        groups, text = np.flatnonzero(prompt == number)[:EACH], row["text"]
        pictures = "".join(html.picture(folder / f"{group}.png", text) for group in groups)
        figures.append(f'<figure><div class="few">{pictures}</div><figcaption>{escape(text)}</figcaption></figure>')
    more = len(run.prompts) - len(figures)
    note = f'<p class="soft">and {more} more prompts</p>' if more else ""
    return f'<div class="told">{"".join(figures)}</div>{note}'


def of_prompt(row: Mapping[str, str], name: str) -> str:
    """A metric of one prompt with its standard error."""
    error_name = "log_z/stderr" if name == "log_z/mean" else f"{name}/stderr"
    return text_of(*(float(row.get(key) or math.nan) for key in (name, error_name)))
