"""The files of a study: a Markdown table and a figure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

MARKERS = "osD^vP*Xdh<>p"
# 13 marks and 14 colours, so that no pair of them comes twice
COLORS = ("#2563eb", "#dc2626", "#0f766e", "#b45309", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f", "#475569", "#ea580c",
          "#1e3a8a", "#15803d", "#a21caf", "#854d0e")  # fmt: skip


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def per_cent(estimate: tuple[float, float]) -> str:
    """A share and its standard error as per cent, ``12.5 ± 1.0``."""
    value, error = estimate
    return f"{100 * value:.1f} ± {100 * error:.1f}"


def write_study(out: Path, text: str, figure: Figure | None, dpi: int | None = None) -> None:
    """Write ``OUT.md``, and ``OUT.png`` if there is a figure; the folder is made if it is missing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text(text + "\n")
    if figure is not None:
        figure.savefig(out.with_suffix(".png"), dpi=dpi or "figure")


def from_command_line(description: str | None, study: Callable[[Sequence[Path], Path], str], out: Path) -> None:
    """Print the table of a study of the folders on the command line, ``FOLDER ... [--out OUT]``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=out)
    options = parser.parse_args()
    print(study(options.folders, options.out))
