"""A run of a sweep whose process was killed before: it is done again in a process of its own, so that others go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from fmtt.run_folder import read_metrics

COMMAND_LINE = "command-line"  # how Hydra calls the source of --config-dir


class KilledError(RuntimeError):
    """The process of a run was killed. The message is one line."""


def done_alone(folder: Path) -> float:
    """The mean reward of the run of this sweep in ``folder``, which is done in another process.

    Raises:
        KilledError: if that process is killed, or the run fails in it.
    """
    hydra = HydraConfig.get()
    sources = [source.path for source in hydra.runtime.config_sources if source.provider == COMMAND_LINE]
    flags = [f"--config-dir={path}" for path in sources]
    words = [word for word in hydra.overrides.task if not word.startswith("resume=")]
    command = [sys.executable, "-m", "fmtt", *flags, *words, "resume=true", f"hydra.run.dir={folder.resolve()}"]
    status = subprocess.run(command, cwd=hydra.runtime.cwd).returncode
    if status < 0:
        raise KilledError(f"its process was killed by signal {-status}, perhaps for lack of memory")
    if status > 0:
        raise KilledError(f"failed in a process of its own, with status {status}")
    return float(read_metrics(folder)["reward/weighted_mean"])  # type: ignore[arg-type]
