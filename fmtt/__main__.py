"""``python -m fmtt`` is the command ``fmtt``."""

import sys

from fmtt.run.cli import main

if __name__ == "__main__":
    sys.exit(main())
