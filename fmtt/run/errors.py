"""Mistakes in a configuration, said on one line."""

from __future__ import annotations

import re

from hydra.errors import InstantiationException
from omegaconf.errors import MissingMandatoryValue

ELSEWHERE = ("reward.terms.", "held_out")  # where a reward stands whose errors call it ``reward``


class ConfigurationError(ValueError):
    """What the user asked for is impossible; the message is one line that says what and what is allowed."""


def one_line(error: BaseException) -> str:
    """The message of an error, or of the error inside it that the user caused, on one line."""
    place = ""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        place, error = str(error).partition("full_key: ")[2], error.__cause__
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: has no default; type {error.full_key}=... (its file in configs says what)"
    text = " ".join(str(error).split())
    return re.sub(r"\breward\.(?!terms\.)(?=\w)", f"{place}.", text) if place.startswith(ELSEWHERE) else text
