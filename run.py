"""``python run.py lookahead=flowmap4 reward=symmetry``: one run, or with ``-m`` a sweep. See README.md."""

import sys

from fmtt.run.cli import main

if __name__ == "__main__":
    sys.exit(main())
