"""Where the configurations of the command line lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def find_configs(package: Path) -> Path:
    """The configurations: inside the package where a wheel was installed, beside it in a checkout."""
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


CONFIGS = find_configs(PACKAGE)
