"""Whether tilted scenes have the law that they should: ``python scripts/scenes_law.py FOLDER ... [--out OUT]``.

Reads the runs of ``experiment=scenes_law``; :mod:`fmtt.studies.scenes_law` says how. Writes OUT.md, rows for each
prompt, and OUT.png, shares of right pictures against those by rejection.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.scenes_law import study_scenes_law


def main() -> None:
    from_command_line(__doc__, study_scenes_law, Path("outputs/scenes_law"))


if __name__ == "__main__":
    sys.exit(script(main))
