"""The command line: Hydra composes, errors become one line, and the exit status says whose fault it was."""

from __future__ import annotations

import os
import signal
import sys

import hydra
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fmtt.experiment import CONFIGS, ConfigurationError, one_line
from fmtt.runner import execute

WRONG_CONFIGURATION = 2


def main() -> int:
    """Run ``run.py``; the exit status is 0 done, 2 the configuration is wrong, 1 anything else."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors through to here, unformatted
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _compose_and_run()
    except (ConfigurationError, HydraException, ConfigCompositionException, OmegaConfBaseException) as error:
        print(f"fmtt: {one_line(error)}", file=sys.stderr)
        return WRONG_CONFIGURATION
    except FloatingPointError as error:
        print(f"fmtt: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"fmtt: interrupted{': ' + str(interrupt) if str(interrupt) else ''}", file=sys.stderr)
        return 1
    return 0


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")
def _compose_and_run(config: DictConfig) -> float:
    return execute(config)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
