"""How often the base model shows each prompt: ``python scripts/scenes_rates.py FOLDER ... [--out OUT]``.

Reads runs of ``experiment=scenes_geneval mode=base``. Writes OUT.md, a row for each category, and OUT.png.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.scenes_rates import study_rates


def main() -> None:
    from_command_line(__doc__, study_rates, Path("outputs/scenes_rates"))


if __name__ == "__main__":
    sys.exit(script(main))
