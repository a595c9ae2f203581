"""What a run writes is on the disk before it takes its name, and the name is before anything that follows."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fmtt.files import whole
from fmtt.run_folder import COMPUTED, DRAWN, MANIFEST, PROMPTS
from tests.command import Outcome

NOT_OURS = (".hydra", "cli.log", ".lock")  # written by Hydra, and the lock, which holds nothing that is kept


class Synced(NamedTuple):
    """A file or a folder was written through to the disk when it had this size."""

    inode: int
    size: int


class Named(NamedTuple):
    """A file with this content took its name in a folder."""

    path: Path
    content: Synced
    folder: int


Events = list[Synced | Named]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What is asked of the disk, in its order."""
    seen: Events = []
    fsync, replace = os.fsync, os.replace

    def spied_fsync(file: int) -> None:
        known = os.fstat(file)
        seen.append(Synced(known.st_ino, known.st_size))
        fsync(file)

    def spied_replace(source: Path, target: Path) -> None:
        known = Path(source).stat()
        replace(source, target)
        seen.append(Named(Path(target), Synced(known.st_ino, known.st_size), Path(target).parent.stat().st_ino))

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(os, "replace", spied_replace)
    return seen


def unsafe(events: Events) -> list[str]:
    """Files whose content was not on the disk just before they took their name, or the name not just after."""
    bad = []
    for before, event, after in zip([None, *events], events, [*events[1:], None], strict=False):
        if isinstance(event, Named):
            kept = isinstance(after, Synced) and after.inode == event.folder
            if before != event.content or not kept:
                bad.append(event.path.name)
    return bad


def test_every_file_of_a_run_is_on_the_disk_in_the_order_of_its_writing(
    fmtt: Callable[..., Outcome], events: Events
) -> None:
    done = fmtt("checkpoint.every=1")
    assert done.status == 0, done.err
    names = [event.path for event in events if isinstance(event, Named)]
    left = [path for path in done.folder.rglob("*") if path.is_file()]
    assert {path for path in left if path.relative_to(done.folder).parts[0] not in NOT_OURS} <= set(names)
    assert {*COMPUTED, *DRAWN} - {PROMPTS} <= {path.name for path in names}
    assert sum(path.name.startswith("checkpoint-") for path in names) >= 4
    assert names[-1].name == MANIFEST
    assert unsafe(events) == []


def test_the_reason_of_a_failure_and_the_pages_of_a_sweep_are_on_the_disk(
    fmtt: Callable[..., Outcome], events: Events
) -> None:
    done = fmtt("-m", "reward.scale=1,nan", "report=false", "baseline=false")
    assert done.status == 2
    names = [event.path.name for event in events if isinstance(event, Named)]
    assert {"error.txt", "multirun.yaml"} <= set(names) and names[-2:] == ["summary.csv", "compare.html"]
    assert unsafe(events) == []


def test_files_that_are_not_on_the_disk_are_seen(tmp_path: Path, events: Events) -> None:
    """The mutants: without the one, the other, or with something that is written in between."""
    for name in ("one", "two"):
        with whole(tmp_path / name) as partial:
            partial.write_text(name)
    assert len(events) == 6 and unsafe(events) == []
    content, named, folder = events[:3]
    assert unsafe([named, folder]) == unsafe([content, named]) == ["one"]
    assert unsafe([named, content, folder]) == ["one"]  # the name is older than the content
    longer = content._replace(size=content.size - 1)  # some of it was written afterwards
    assert unsafe([longer, named, folder]) == ["one"]
