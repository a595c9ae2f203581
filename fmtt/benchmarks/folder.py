"""The folder of a benchmark: pictures and notes for the scorer, records of what each prompt cost.

Every file is there complete or not at all, so several processes may work on one folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from PIL import Image

from fmtt.benchmarks.benchmark import Array, Benchmark, BenchmarkPrompt

SETTINGS, RECORDS = "benchmark.json", "records"


@dataclass(frozen=True)
class BenchmarkFolder:
    """Where a benchmark is made.

    ``pictures/`` is the folder that the scorer is given, ``records/`` has a JSON file for each prompt, and
    ``benchmark.json`` says of which settings the pictures are. What is not complete lies in ``partial/``.

    Attributes:
        path: the folder; it is made when something is written.
        benchmark: whose layout the pictures have.
    """

    path: Path
    benchmark: Benchmark

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def records(self) -> Path:
        return self.path / RECORDS

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Say of which ``settings`` the pictures are.

        Raises:
            ValueError: if the folder has pictures of others.
        """
        known = read_settings(self.path) if self.records.is_dir() else settings
        if different := [name for name in settings if known.get(name) != settings[name]]:
            raise ValueError(f"folder={self.path}: holds pictures of another {different[0]}; choose another folder")
        self._write(self.path / SETTINGS, json.dumps(settings, indent=2).encode())

    def done(self, prompt: BenchmarkPrompt) -> bool:
        """Whether all pictures of a prompt are there, and its record."""
        files = [self.record(prompt), *(self.pictures / path for path in self.benchmark.layout(prompt))]
        return all(file.is_file() for file in files)

    def record(self, prompt: BenchmarkPrompt) -> Path:
        """The file of what is known of a prompt beside its pictures."""
        return self.records / f"{prompt.number:05d}.json"

    def keep(self, prompt: BenchmarkPrompt, pictures: Sequence[Array], record: Mapping[str, Any]) -> None:
        """Write the pictures ``(H, W, 3)`` of a prompt that are not there, and then its record."""
        for path, pixels in zip(self.benchmark.layout(prompt), self.benchmark.arranged(pictures), strict=True):
            if not (self.pictures / path).is_file():
                self._write(self.pictures / path, png(pixels))
        self._write(self.record(prompt), json.dumps(record).encode())

    def note(self, prompts: Iterable[BenchmarkPrompt]) -> None:
        """Write the notes on the prompts that are done; again if another part has finished some meanwhile."""
        prompts, before, done = list(prompts), -1, [prompt for prompt in prompts if self.done(prompt)]
        while len(done) != before:
            for path, text in self.benchmark.notes(done, self.pictures).items():
                self._write(self.pictures / path, text.encode())
            before, done = len(done), [prompt for prompt in prompts if self.done(prompt)]

    def _write(self, path: Path, content: bytes) -> None:
        partial = self.path / "partial" / uuid4().hex
        for file in (partial, path):
            file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of the pictures in a folder; nothing if it has none."""
    file = path / SETTINGS
    return json.loads(file.read_text()) if file.is_file() else {}


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of the prompts that were made in a folder."""
    return [json.loads(file.read_text()) for file in sorted((path / RECORDS).glob("*.json"))]


def png(pixels: Array) -> bytes:
    """A picture ``(H, W, 3)`` uint8 as a PNG file."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
