"""Which methods make pictures that show their prompt: ``python scripts/scenes_geneval.py FOLDER ... [--out OUT]``.

Reads the runs of ``experiment=scenes_geneval``; :mod:`fmtt.studies.scenes_geneval` says how. Writes OUT.md, a table for
each budget with a row for each method and a column for each category, and OUT.png, where reward and judge differ.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.scenes_geneval import study_geneval


def main() -> None:
    from_command_line(__doc__, study_geneval, Path("outputs/scenes_geneval"))


if __name__ == "__main__":
    sys.exit(script(main))
