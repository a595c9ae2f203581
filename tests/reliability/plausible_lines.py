"""Command lines that are likely to run: choices, with values of their own settings that are near the defaults."""

from __future__ import annotations

from collections.abc import Iterator

import yaml
from hypothesis import strategies as st

from fmtt.run.configs import CONFIGS
from tests.reliability.command_lines import SMALL, choices

ENOUGH = (*SMALL, "population.particles=8", "sampler.steps=6", "reward.scale=5")  # so that something is resampled
GROUPS = (
    "model", "reward", "lookahead", "mode", "sampler/grid", "sampler/epsilon", "sampler/beta", "sampler/chi",
    "sampler/damping", "sampler/transport", "mode/gradient", "mode/weights",
)  # fmt: skip
OF_PICTURES = (
    "antisymmetry", "clock", "digit", "edit", "edit_clock", "edit_scene", "keep", "mask", "rotation", "scenes", "sum",
    "symmetry", "vqa",
)  # fmt: skip
ELSEWHERE = {"reward.scale": 5.0, "sampler.steps": 6, "sampler.probes": 1}  # settings of no choice, and their defaults
WORDS = {
    "role": ("maximise", "sample"),
    "resampler": ("systematic", "stratified", "residual", "multinomial", "ssp"),
    "gradient": ("raw", "strengthened", "clipped", "normalised"),
    "move": ("pcn", "pcnl", "hmc"),
    "potential": ("difference", "max", "sum"),
    "resample_at": ("[1]", "[2,3]"),
    "temperatures": ("[0.1,0.2,0.4,0.6,0.8,1]",),
    "window": ("[0,0.5]", "[0.4,1]", "[0.2,0.8]"),
}


def values(name: str, default: object) -> list[str]:
    """What could be typed for a setting with this name and default."""
    if name in WORDS:
        return [word for word in WORDS[name] if word != default]
    if isinstance(default, bool):
        return [str(not default).lower()]
    if isinstance(default, int):
        return [str(value) for value in (default // 2, default + 1, 2 * default + 2)]
    if isinstance(default, float):
        return [f"{value:g}" for value in (default / 2, 2 * default + 0.1, 0.9 * default)]
    return ["1", "2", "0.5"] if default is None else []


def settings_of(group: str, choice: str) -> dict[str, object]:
    """The settings that a choice has, and their defaults."""
    written = yaml.safe_load((CONFIGS / group / f"{choice}.yaml").read_text()) or {}
    own = written if "_target_" in written else written.get(group, {})
    return {f"{group.replace('/', '.')}.{name}": value for name, value in own.items() if name[0] != "_"}


def lines() -> Iterator[tuple[str, ...]]:
    """Every choice alone and with each value of each of its settings, and each value of the settings of no choice."""
    for group in GROUPS:
        for word in choices(group):
            choice = word.partition("=")[2]
            if choice not in OF_PICTURES:
                yield (word,)
                yield from ((word, typed) for typed in typed_values(settings_of(group, choice)))
    plain = yaml.safe_load((CONFIGS / "config.yaml").read_text())
    sections = ("population", "budget")
    inside = {f"{section}.{name}": value for section in sections for name, value in plain[section].items()}
    own = {key: plain[key] for key in ("seed", "role", "scale_factor", "baseline", "report")}
    yield from ((typed,) for typed in typed_values(own | inside | ELSEWHERE))


def typed_values(settings: dict[str, object]) -> Iterator[str]:
    """The words for all values of settings with these defaults."""
    for key, default in settings.items():
        yield from (f"{key}={value}" for value in values(key.rpartition(".")[2], default))


LINES = list(lines())
plausible_lines = st.lists(st.sampled_from(LINES), min_size=1, max_size=3).map(
    lambda parts: [word for part in parts for word in part]
)
