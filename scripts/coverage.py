"""How often intervals for log Z hold the truth: ``python scripts/coverage.py TASKS METHODS [--runs 400] [--out OUT]``.

TASKS has a name and words of the command line in each line, METHODS has words; :mod:`fmtt.run.coverage` says how.
Writes OUT.md, a row for each method and a column for each task.
"""

import argparse
import shlex
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.run.coverage import Coverage, coverage
from fmtt.studies.output import markdown_table
from fmtt.studies.significance import wilson


def without_doubt(found: Coverage) -> str:
    """Per cent of the runs without a doubt, with an interval, and their number."""
    kept = [held for held, doubted in zip(found.held, found.doubted, strict=True) if not doubted]
    if not kept:
        return "all doubted"
    low, high = wilson(sum(kept), len(kept))
    return f"{100 * sum(kept) / len(kept):.0f} ({100 * low:.0f} to {100 * high:.0f}) of {len(kept)}"


def of_all(found: Coverage) -> str:
    """Per cent of all runs."""
    return f"{100 * sum(found.held) / len(found.held):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("methods", type=Path)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--groups", type=int, default=4, help="of each run")
    parser.add_argument("--budget", type=int, default=1600, help="of each group")
    parser.add_argument("--out", type=Path, default=Path("outputs/coverage"))
    options = parser.parse_args()
    cost = f"budget.nfe={options.budget}"
    tasks = [line.split(maxsplit=1) for line in options.tasks.read_text().splitlines()]
    found = {
        method: [
            coverage(shlex.split(f"model=normal {method} {words} {cost}"), options.runs, options.groups)
            for _, words in tasks
        ]
        for method in options.methods.read_text().splitlines()
    }
    head = ["method", *(name for name, _ in tasks)]
    tables = [
        markdown_table(head, [[method, *map(cell, own)] for method, own in found.items()])
        for cell in (without_doubt, of_all)
    ]
    text = f"""{options.runs} runs of {options.groups} groups, each of which pays {options.budget}.

Per cent of the runs without a doubt whose interval holds the truth, with its own 95% interval:

{tables[0]}

Of all runs, with doubts or without:

{tables[1]}
"""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    sys.exit(script(main))
