"""``python -m fmtt`` is the command ``fmtt``."""

from fmtt.run.cli import command

if __name__ == "__main__":
    command()
