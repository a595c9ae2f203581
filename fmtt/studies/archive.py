"""Finished runs without their samples, in one small file, so that a long study goes on on another machine.

What tables need is kept: settings, metrics, prompts and verdicts. A restored run counts as done, so that a sweep with
``resume=true`` skips it. Its samples are gone, and with them its pictures.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from fmtt.files import read_hashes, whole, write_hashes
from fmtt.run_folder import CONFIG, HYDRA, HYDRA_SETTINGS, MANIFEST, METRICS, OVERRIDES, PROMPTS, RETURNED

KEPT = (OVERRIDES, HYDRA_SETTINGS, CONFIG, METRICS, PROMPTS, RETURNED)


def pack(folder: Path, archive: Path) -> int:
    """Write the runs below ``folder`` that are done into ``archive``, a ``.tar.xz``; returns how many.

    Raises:
        ValueError: if there is none.
    """
    runs = runs_below(folder)
    if not runs:
        raise ValueError(f"no finished runs below {folder}")
    with TemporaryDirectory() as name:
        for run in runs:
            copy = Path(name) / run.relative_to(folder)
            kept = [part for part in KEPT if (run / part).is_file()]
            for part in kept:
                (copy / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run / part, copy / part)
            own = [part for part in kept if not part.startswith(HYDRA)]  # Hydra writes its records at every start
            write_hashes(copy / MANIFEST, read_hashes(run / MANIFEST)[0] or "", own)
        with whole(archive) as path, tarfile.open(path, "w:xz") as tar:
            tar.add(name, "", filter=undated)
    return len(runs)


def restore(archive: Path, folder: Path) -> int:
    """Write the runs of ``archive`` below ``folder``, but for those that are done there; returns how many.

    Raises:
        ValueError: if the file is no archive.
    """
    with TemporaryDirectory() as name:
        try:
            with tarfile.open(archive, "r:xz") as tar:
                tar.extractall(name, filter="data")
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{archive}: is no archive of runs") from error
        missing = [run for run in runs_below(Path(name)) if not (folder / run.relative_to(name) / MANIFEST).is_file()]
        for run in missing:
            shutil.copytree(run, folder / run.relative_to(name), dirs_exist_ok=True)
    return len(missing)


def runs_below(folder: Path) -> list[Path]:
    """The folders of the runs below ``folder`` that are done."""
    return sorted(manifest.parent for manifest in folder.glob(f"**/{MANIFEST}"))


def undated(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry without date and owner: equal runs make equal archives."""
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
