"""The controls of the comparison page: filters, grouping and menus.

The script of the page reads them from the document. They are its only state, so the browser's own reset works.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape

from fmtt.checks import is_number

STATUS = "status"  # a filter beside those of the settings: done, failed, unfinished, broken


def form(
    values: Mapping[str, Mapping[str, int]],
    groups: Sequence[str],
    chosen: Collection[str],
    prompts: Mapping[str, str],
) -> str:
    """Filters and grouping in one form.

    Args:
        values: the values of every setting and of the status, and the number of runs with each.
        groups: the settings by which runs may be grouped.
        chosen: the groups that are ticked at first.
        prompts: the text of each prompt, with its category.
    """
    words = (
        '<label class="words">Filter by words <input type="search" id="words" autocomplete="off" '
        'placeholder="search seed=1"></label>'
    )
    facets = "".join(_facet(number, name, known) for number, (name, known) in enumerate(values.items()))
    hint = '<p class="soft">A setting in which nothing is ticked lets every run through.</p>'
    return (
        '<form id="filters" autocomplete="off" aria-label="Which runs are shown">'
        f'<p class="bar">{words}{_prompts(prompts)}<button type="reset">Reset</button>'
        '<span id="count" role="status" aria-live="polite"></span></p>'
        '<details id="facets" open><summary>Filter by settings</summary>'
        f'{hint}<div class="facets">{facets}</div></details>'
        f"{_group_by(groups, chosen)}</form>"
    )


def _prompts(prompts: Mapping[str, str]) -> str:
    """The menu of categories and prompts; nothing without prompts. The script knows a prompt by its number."""
    if not prompts:
        return ""
    categories = {f"category {name}": f"category: {name}" for name in dict.fromkeys(filter(None, prompts.values()))}
    texts = {f"prompt {number}": text for number, text in enumerate(prompts)}
    return select("prompts", "Results of", {"": "all prompts", **categories, **texts}, "")


def _facet(number: int, name: str, known: Mapping[str, int]) -> str:
    """A box for each value of a setting; the script knows the setting by its number."""
    boxes = "".join(
        f'<label><input type="checkbox" data-setting="{number}" value="{escape(value)}"> '
        f'{escape(value) or "(not there)"} <span class="soft">{count}</span></label>'
        for value, count in sorted(known.items(), key=lambda item: order(item[0]))
    )
    return f'<fieldset><legend>{escape(name)}</legend><div class="values">{boxes}</div></fieldset>'


def _group_by(names: Sequence[str], chosen: Collection[str]) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" data-group="{number}"{" checked" if name in chosen else ""}> '
        f"{escape(name)}</label>"
        for number, name in enumerate(names)
    )
    inside = boxes or '<span class="soft">nothing differs</span>'
    return f'<fieldset class="group"><legend>Group by, and average over the rest</legend>{inside}</fieldset>'


def order(value: str) -> tuple[int, float, str]:
    """The key that sorts numbers by size, then words, then the empty text."""
    return (0, float(value), "") if is_number(value) else (1 if value else 2, 0.0, value)


def select(name: str, label: str, options: Mapping[str, str], chosen: str | None) -> str:
    """A menu of ``options``, value to text."""
    inside = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options.items()
    )
    return f'<label for="{name}">{label} <select id="{name}" autocomplete="off">{inside}</select></label>'
