"""How far a sweep is, on one line of the terminal while its runs end, in this process or in others."""

from __future__ import annotations

import math
import time
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple, TextIO

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from tqdm import tqdm

ENDED = ".ended"  # in the folder of a sweep that is watched: one line for each run that has ended
PERIOD = 0.5  # seconds between looks at it


class Tally(NamedTuple):
    """The runs that have ended, those of them that failed, and the best value (-inf if there is none)."""

    ended: int
    failed: int
    best: float


class Progress:
    """The tally of a sweep on one line, until it is closed.

    Runs of a sweep may end in other processes, so each of them notes it in a file that a thread here follows. The
    cursor waits at the beginning of the line: whatever else is printed takes its place, and it comes again below.

    Args:
        folder: of the sweep.
        total: how many runs there will be.
        stream: the terminal.
    """

    def __init__(self, folder: Path, total: int, stream: TextIO):
        self._folder, self._total, self._stream = folder, total, stream
        self._begun, self._closed, self._width = time.monotonic(), Event(), 0
        (folder / ENDED).write_text("")
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Draw the line for the last time; more than once does no harm."""
        if not self._closed.is_set():
            self._closed.set()
            self._thread.join()
            self._draw()
            self._stream.write("\n")
            (self._folder / ENDED).unlink(missing_ok=True)

    def _follow(self) -> None:
        while not self._closed.wait(PERIOD):
            self._draw()

    def _draw(self) -> None:
        text = line(tally(self._folder), self._total, time.monotonic() - self._begun)
        self._stream.write(f"\r{text:<{self._width}}\r")
        self._stream.flush()
        self._width = len(text)


def note(folder: Path, value: float | None) -> None:
    """A run of the sweep in ``folder`` has ended with this value, or failed; nothing where nobody watches."""
    if (folder / ENDED).exists():
        with (folder / ENDED).open("a") as file:
            file.write(f"{'failed' if value is None else value}\n")  # so short an addition is never torn


def tally(folder: Path) -> Tally:
    """What has been noted so far."""
    path = folder / ENDED
    words = path.read_text().split() if path.exists() else []
    values = [float(word) for word in words if word != "failed"]
    return Tally(len(words), len(words) - len(values), max(values, default=-math.inf))


def line(tally: Tally, total: int, seconds: float) -> str:
    """``3 of 12 runs, 1 failed, best reward 0.534, 00:10<00:30``: the time so far, and what is left of it.

    It is short, without a bar, so that what is printed over it covers it.
    """
    left = tqdm.format_interval(seconds / tally.ended * (total - tally.ended)) if tally.ended else "?"
    best = f", best reward {tally.best:.3g}" if tally.ended > tally.failed else ""
    return f"{tally.ended} of {total} runs, {tally.failed} failed{best}, {tqdm.format_interval(seconds)}<{left}"


def size(config: DictConfig) -> int:
    """How many runs the sweep of a configuration will have."""
    sweeper = config.hydra.sweeper
    if "n_trials" in sweeper:
        return int(sweeper.n_trials)
    words = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*words, *config.hydra.overrides.task])
    counts = {  # the last word about a key holds
        override.get_key_element(): len(list(override.sweep_string_iterator())) if override.is_discrete_sweep() else 1
        for override in overrides
    }
    return math.prod(counts.values())
