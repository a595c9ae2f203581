"""A sweeper of Hydra over combinations that are listed in files, in place of all combinations of some values."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from types import ModuleType

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

COMMENT = "#"


class Lines(Sweeper):
    """The runs of every line of the first file with every line of the second, and so on.

    A line has words as they are typed, such as ``mode=beam mode.rounds=2,4``, which are two runs. They come after the
    words of the command line, so that they count if both give a setting.

    Args:
        files: their paths.
        max_batch_size: how many runs are started together; None for all.
        params: settings that every run has, as of Hydra's own sweeper.
    """

    def __init__(
        self, files: Sequence[str], max_batch_size: int | None = None, params: Mapping[str, str] | None = None
    ):
        self.files, self.together, self.params = list(files), max_batch_size, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        typed = [*(f"{name}={value}" for name, value in self.params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        jobs = [
            job
            for lines in product(*map(lines_of, self.files))
            for job in combinations(parser.parse_overrides([*typed, *(word for line in lines for word in line)]))
        ]
        self.validate_batch_is_legal(jobs)
        together, returned = self.together or len(jobs), []
        for first in range(0, len(jobs), together):
            returned.append(self.launcher.launch(jobs[first : first + together], initial_job_idx=first))
            for job in returned[-1]:
                _ = job.return_value  # raises what stopped it
        return returned


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """The words of each run of a sweep over all combinations; of two words for a setting the later counts.

    Raises:
        HydraException: if a sweep has no list of values.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise HydraException(f"{override.input_line}: a sweep over lines needs a list of values")
    return [list(job) for job in product(*values.values())]


def lines_of(file: str) -> list[list[str]]:
    """The words of each line of ``file``; empty lines and those that begin with ``#`` are left out.

    Raises:
        HydraException: if the file cannot be read, or has no lines.
    """
    try:
        text = Path(file).read_text()
    except OSError as error:
        raise HydraException(f"hydra.sweeper.files: {file}: {error.strerror}") from error
    lines = [shlex.split(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith(COMMENT)]
    if not lines:
        raise HydraException(f"hydra.sweeper.files: {file}: has no lines")
    return lines


def register() -> None:
    """Let Hydra find the sweeper: it takes plugins of the package ``hydra_plugins`` alone, and this is no package."""
    module = ModuleType("hydra_plugins.fmtt")
    module.Lines = Lines  # type: ignore[attr-defined]
    sys.modules[module.__name__], Lines.__module__ = module, module.__name__
    Plugins.instance().register(Lines)
