"""One line for what Hydra could not compose."""

from __future__ import annotations

import re

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fmtt.run.configs import CONFIGS
from fmtt.run.errors import one_line

RENAMED = {
    "budget.fewest": "budget.min_particles",
    "mode.drop": "mode.snr_drop",
    "mode.look_every": "mode.check_every",
    "mode.looks_back": "mode.final_checks",
}
UNREADABLE = (
    "LexerNoViableAltException",
    "mismatched input",
    "no viable alternative",
    "extraneous input",
    "token recog",
)
PLUGINS = {  # of Hydra, that our configurations name, and their packages
    "hydra/sweeper/optuna": "hydra-optuna-sweeper",
    "hydra/launcher/joblib": "hydra-joblib-launcher",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher/submitit_local": "hydra-submitit-launcher",
}


def explain(error: Exception, overrides: list[str]) -> str:
    """One line for what Hydra could not compose: what was wrong and what is allowed."""
    text = plain(error)
    absent = next((plugin for plugin in PLUGINS if f"Could not find '{plugin}'" in text), None)
    if absent:
        return f"{absent} is a plugin of Hydra that is not installed: pip install {PLUGINS[absent]}"
    if text.startswith(UNREADABLE):
        word = text.partition(": ")[2].removesuffix(" ^")
        return f"{word} cannot be read; put its value in two pairs of quotes: '{word.partition('=')[0]}=\"...\"'"
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown is None:
        return text
    if unknown[1] in RENAMED:
        return f"{unknown[1]} is now called {RENAMED[unknown[1]]}"
    parent, _, key = unknown[1].rpartition(".")
    allowed = _keys(parent, [o for o in overrides if not o.lstrip("+~").startswith(unknown[1]) and "=" in o])
    where = f" of '{parent}'" if parent else ""
    return f"there is no setting '{key}'{where}; allowed are {', '.join(allowed)}" if allowed else text


def plain(error: Exception) -> str:
    """The message on one line, without Hydra's remarks."""
    text = one_line(error).split(" Config search path:")[0].removeprefix("In 'config': ").split(" See https://")[0]
    return text.split(" full_key:")[0]


def _keys(parent: str, overrides: list[str]) -> list[str]:
    """The settings below ``parent`` in the configuration of the other overrides."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("config", overrides=[o for o in overrides if not o.startswith(("-", "hydra"))])
    except (HydraException, OmegaConfBaseException):
        return []
    node = OmegaConf.select(config, parent) if parent else config
    return [str(key) for key in node if not str(key).startswith("_")] if isinstance(node, DictConfig) else []
