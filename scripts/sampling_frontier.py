"""Error of the tilted law against cost: ``python scripts/sampling_frontier.py FOLDER ... [--out OUT]``.

Every folder holds the runs of ``experiment=frontier_sampling`` on one task and is named after it;
:mod:`fmtt.studies.sampling_frontier` says how they are read. Writes ``OUT.png`` and ``OUT.md`` and prints the tables.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.sampling_frontier import study_sampling_frontier


def main() -> None:
    from_command_line(__doc__, study_sampling_frontier, Path("outputs/frontier_sampling"))


if __name__ == "__main__":
    sys.exit(script(main))
