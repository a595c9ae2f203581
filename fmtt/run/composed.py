"""What Hydra has composed, looked at before it calls anything of it and before the runs of a sweep begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

CALLING = ("callbacks", "launcher", "sweeper", "job_logging", "hydra_logging")  # parts of Hydra that call something
CALLED = ("_target_", "()", "class")  # the keys that say what
KNOWN = ("hydra", "hydra_plugins", "logging", "optuna")
OWN = "fmtt.run.cli.SweepSummary"


def register() -> None:
    """Let Hydra look at what it has composed, before it sets up even its own logging by it."""
    compose = ConfigLoaderImpl.load_configuration

    def composed(
        self: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        config = compose(self, config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        check_parts(config)
        return config

    ConfigLoaderImpl.load_configuration = composed  # type: ignore[method-assign]
    Sweeper.validate_batch_is_legal = check_runs  # type: ignore[method-assign]


def check_parts(config: DictConfig) -> None:
    """Refuse parts of Hydra, such as a callback, of other packages: they would be called before any check of trust.

    Raises:
        HydraException: with the first of them.
    """
    for part in CALLING:
        for place, target in called(config.hydra.get(part), f"hydra.{part}"):
            if target != OWN and target.partition(".")[0] not in KNOWN:
                raise HydraException(f"{place}={target}: would be called before it is known whether you trust it")


def called(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """What a part of a configuration calls, with the places where it says so; interpolations are followed."""
    if not isinstance(node, DictConfig | ListConfig):
        return
    for key in node if isinstance(node, DictConfig) else range(len(node)):
        try:
            value = node[key]
        except OmegaConfBaseException:  # is known only later, and calls nothing
            continue
        if key in CALLED:
            yield f"{place}.{key}", str(value)
        yield from called(value, f"{place}.{key}")


def check_runs(sweeper: Sweeper, batch: Sequence[Sequence[str]]) -> None:
    """Compose the runs of a sweep, so that what is wrong is known before the first begins.

    Raises:
        HydraException: if a run cannot be composed, or two have one folder.
    """
    loader, master = sweeper.hydra_context.config_loader, sweeper.config
    homes: dict[Path, list[str]] = {}
    for number, words in enumerate(batch):
        config = loader.load_sweep_config(master, list(words))
        with open_dict(config.hydra.job):
            config.hydra.job.num = number
        subdir = str(config.hydra.sweep.subdir)
        if homes.setdefault(Path(subdir), list(words)) != list(words):
            raise HydraException(
                f"hydra.sweep.subdir={subdir}: two runs of the sweep would have this folder;"
                " put ${hydra.job.num} into the name"
            )
