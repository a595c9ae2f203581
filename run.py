"""``python run.py lookahead=flowmap4 reward=symmetry``: one run, or with ``-m`` a sweep. See README.md."""

from fmtt.run.cli import command

if __name__ == "__main__":
    command()
