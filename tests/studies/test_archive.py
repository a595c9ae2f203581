"""Runs that were packed on one machine count as done on another, and make the same tables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fmtt.run_folder import read_returned
from fmtt.studies.archive import pack, restore
from fmtt.studies.runs import finished_runs
from tests.command import Outcome

SWEEP = ("-m", "mode=base,search", "report=false", "baseline=false", "resume=true")


def test_a_sweep_skips_runs_that_were_restored(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    first = fmtt(*SWEEP[:1], "mode=base", *SWEEP[2:], folder="first")
    assert first.status == 0, first.err
    archive = tmp_path / "runs.tar.xz"
    assert pack(tmp_path / "first", archive) == 1
    assert restore(archive, tmp_path / "second") == 1
    assert restore(archive, tmp_path / "second") == 0
    second = fmtt(*SWEEP, folder="second")
    assert second.status == 0, second.err
    assert "already done" in second.out
    assert not list((tmp_path / "second").glob("0/samples.safetensors"))
    assert list((tmp_path / "second").glob("1/samples.safetensors"))


def test_tables_of_restored_runs_are_the_same(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    fmtt(*SWEEP, folder="first")
    archive = tmp_path / "runs.tar.xz"
    pack(tmp_path / "first", archive)
    restore(archive, tmp_path / "second")
    before, after = (finished_runs([tmp_path / name]) for name in ("first", "second"))
    assert [run.settings for run in before] == [run.settings for run in after]
    assert [run.metrics for run in before] == [run.metrics for run in after]
    assert [read_returned(run.folder) for run in before] == [read_returned(run.folder) for run in after]
    again = tmp_path / "again.tar.xz"
    pack(tmp_path / "second", again)
    assert again.read_bytes() == archive.read_bytes()


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nothing")
    with pytest.raises(ValueError, match="file: is no archive of runs"):
        restore(tmp_path / "file", tmp_path)
    with pytest.raises(ValueError, match="no finished runs below"):
        pack(tmp_path / "nowhere", tmp_path / "out.tar.xz")
