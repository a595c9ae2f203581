"""Settings that do not exist: a word with a plus makes Hydra add it, and nothing would read it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from omegaconf import DictConfig, OmegaConf

from fmtt.run.configs import CONFIGS

SECTIONS = ("population", "budget", "checkpoint")
WHOLE = ("launcher", "experiment")  # choices that set what lies elsewhere, and have no settings of their own


def refuse_unknown(config: DictConfig, parts: Sequence[str]) -> None:
    """Check the sections of a configuration that no object checks for itself; ``parts`` are those of the sampler.

    Raises:
        ValueError: if a section is no section, has a setting that does not exist, or lacks a part that it needs.
    """
    plain = OmegaConf.load((CONFIGS / "config").with_suffix(".yaml"))
    assert isinstance(plain, DictConfig)
    groups = [str(name).rpartition("@")[2] for entry in plain.defaults if entry != "_self_" for name in entry]
    check_keys("", config, {*map(str, plain), *groups} - {"defaults", "hydra"})
    for name in WHOLE:
        if name in config:
            check_keys(name, config[name], ())
    for section in SECTIONS:
        check_keys(section, config[section], [str(key) for key in plain[section]])
    check_keys("sampler", config.sampler, [*parts, "steps", "probes"])
    for section, name in [*(("sampler", part) for part in parts if part != "grid"), ("mode", "weights")]:
        if name in config[section] and config[section][name] is None:
            names = sorted(file.stem for file in (CONFIGS / section / name).glob("*.yaml"))
            raise ValueError(f"{section}.{name}=null: must be one of {', '.join(names)}")


def check_keys(section: str, node: object, allowed: Collection[str]) -> None:
    """ValueError unless ``node`` has settings, and none but those ``allowed``."""
    if not isinstance(node, DictConfig):
        raise ValueError(f"{section}={node}: must have the settings {', '.join(sorted(allowed))}")
    unknown = [str(key) for key in node if str(key) not in allowed]
    if unknown:
        where = f" of '{section}'" if section else ""
        known = f"allowed are {', '.join(sorted(allowed))}" if allowed else "it has none"
        raise ValueError(f"there is no setting '{unknown[0]}'{where}; {known}")
