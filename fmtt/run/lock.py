"""One process at a time in a folder. The lock is the operating system's, so a process that dies does not keep it."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fmtt.run.errors import ConfigurationError

LOCK = ".lock"
INSTEAD = "wait for it, or use another"


class FolderTakenError(ConfigurationError):
    """Another run or command has the folder, so that nothing may be written into it."""


def holder(folder: Path) -> str | None:
    """The process that holds ``folder`` now, or None."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return f"{folder}: {(folder / LOCK).read_text().strip() or 'another process'} works in this folder"
    return None


def abandoned(folder: Path) -> bool:
    """Whether the last process that held ``folder`` died in it."""
    try:
        with (folder / LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return bool(file.read().strip())
    except (FileNotFoundError, BlockingIOError):
        return False


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold ``folder`` for this process; with ``wait`` as soon as another one has ended that holds it.

    Raises:
        FolderTakenError: if another process holds it, with its number, its machine and since when.
    """
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = holder(folder) or f"{folder}: another process worked in this folder"  # and has just ended
            if not wait:
                raise FolderTakenError(f"{held}; {INSTEAD}") from None
            print(f"fmtt: note: {held}; waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%F %T')},")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
