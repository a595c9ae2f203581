"""Files that are there whole or not at all, and what they hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to. At the end it takes the place of ``path``, on the disk; if writing fails, ``path`` stays."""
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")  # with the ending, by which writers know the format
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is on the disk, too
    finally:
        os.close(folder)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8; whole or not at all."""
    with whole(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_hashes(path: Path, configuration: str, names: Iterable[str]) -> None:
    """A list of files beside ``path`` with their hashes, and the digest of the configuration that they are of."""
    files = {name: sha256(path.parent / name) for name in names}
    write_whole(path, json.dumps({"configuration": configuration, "files": files}, indent=2))


def read_hashes(path: Path) -> tuple[str | None, dict[str, str]]:
    """The digest and the hashes by name; None and nothing if there is no manifest that can be read."""
    try:
        known = json.loads(path.read_text())
        return str(known["configuration"]), dict(known["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}


def sha256(path: Path) -> str:
    """The hash of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
