"""Edits of scenes, judged: ``python scripts/scenes_edit.py FOLDER ... [--out outputs/scenes_edit]``.

Reads the runs of ``experiment=scenes_edit``; :mod:`fmtt.studies.scenes_edit` says how. Writes OUT.md, a row for each
method, and OUT.png, the edits.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.scenes_edit import study_edits


def main() -> None:
    from_command_line(__doc__, study_edits, Path("outputs/scenes_edit"))


if __name__ == "__main__":
    sys.exit(script(main))
