"""Where configurations are, and what is said of one that is impossible."""

from __future__ import annotations

from pathlib import Path

from hydra.errors import InstantiationException

PACKAGE = Path(__file__).resolve().parents[1]


def find_configs(package: Path) -> Path:
    """The configurations: inside the package where a wheel was installed, beside it in a checkout."""
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


CONFIGS = find_configs(PACKAGE)


class ConfigurationError(ValueError):
    """What the user asked for is impossible; the message is one line that says what and what is allowed."""


def one_line(error: BaseException) -> str:
    """The message of an error, or of the error inside it that the user caused, on one line."""
    place = ""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        place, error = str(error).partition("full_key: ")[2], error.__cause__
    text = " ".join(str(error).split())
    return f"{place}.{text.removeprefix('reward.')}" if place.startswith("reward.terms.") else text
