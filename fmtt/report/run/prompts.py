"""What a page shows of the prompts of a run: a table of their results, and the pictures that were returned for each."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from fmtt.report.common import html
from fmtt.report.common.estimates import error_name, text_of
from fmtt.report.run.finished_run import FinishedRun
from fmtt.run_folder import RETURNED_PICTURES, number_in, verdicts_in

PROMPTS, EACH = 48, 4  # the most prompts with pictures on a page, and the most pictures of each
COLUMNS = {"reward/base_mean": "Base reward", "reward/weighted_mean": "Reward", "log_z/mean": "log Z"}


def prompts(run: FinishedRun) -> str:
    """Pictures under their prompts, then one row for each prompt over its own groups; nothing without prompts."""
    if not run.prompts:
        return ""
    first = run.prompts[0]
    known = {name: title for name, title in COLUMNS.items() if name in first}
    known |= {
        name: f"{words(name.removesuffix('/selected'))}, returned" for name in first if name.endswith("/selected")
    }
    told = {"text": "Prompt"} | ({"category": "Category"} if any(row.get("category") for row in run.prompts) else {})
    rows: list[list[html.Cell]] = [
        [*(row[name] for name in told), *(of_prompt(row, name) for name in known)] for row in run.prompts
    ]
    caption = "Mean ± standard error over the groups of each prompt"
    head = [*told.values(), *known.values()]
    return gallery(run) + html.table(head, rows, numeric=range(len(told), len(head)), caption=caption)


def gallery(run: FinishedRun) -> str:
    """The pictures returned for the groups of each prompt above its text; nothing if samples are no pictures."""
    folder, prompt = run.folder / RETURNED_PICTURES, run.arrays.get("prompt")
    if prompt is None or not folder.is_dir():
        return ""
    figures = []
    for number, row in enumerate(run.prompts[:PROMPTS]):
        groups, text = np.flatnonzero(prompt == number)[:EACH], row["text"]
        pictures = "".join(
            html.picture(folder / f"{group}.png", text, verdict(run.returned[group]) if run.returned else "")
            for group in groups
        )
        figures.append(f'<figure><div class="few">{pictures}</div><figcaption>{escape(text)}</figcaption></figure>')
    more = len(run.prompts) - len(figures)
    note = f'<p class="soft">and {more} more prompts</p>' if more else ""
    return f'<div class="told">{"".join(figures)}</div>{note}'


def verdict(row: Mapping[str, str]) -> str:
    """What is said of one returned sample, a line for each verdict: ``right ✓``, ``broken ✗``, ``share 0.25``."""
    said = {words(name): value for name, value in verdicts_in(row).items()}
    marks = {0.0: "\N{BALLOT X}", 1.0: "\N{CHECK MARK}"}
    return "\n".join(f"{name} {marks.get(value) or text_of(value)}" for name, value in said.items())


def words(name: str) -> str:
    return name.replace("_", " ")


def of_prompt(row: Mapping[str, str], name: str) -> str:
    """A metric of one prompt with its standard error."""
    return text_of(*(number_in(row.get(key)) for key in (name, error_name(row, name))))
