"""A benchmark on a text-to-image model: the encoder of texts is loaded for many prompts at once, each encoded alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen3VLForConditionalGeneration

from fmtt.run import benchmark as runner
from fmtt.run.benchmark import Task, make_pictures
from tests.benchmarks.tiny import write_prompts

pytestmark = pytest.mark.filterwarnings("ignore")
RUN = ["model=flux3_klein", "model.height=16", "model.width=24", "mode=best_of_n", "lookahead=none", "reward=mean",
       "sampler.steps=2", "population.particles=1"]  # fmt: skip


def pictures(klein: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], int]:
    """The pictures of a benchmark of three prompts, and how often the encoder was loaded for them."""
    loaded, loads = Qwen3VLForConditionalGeneration.from_pretrained, [0]

    def counted(*given: Any, **options: Any) -> Any:
        loads[0] += 1
        return loaded(*given, **options)

    monkeypatch.setattr(Qwen3VLForConditionalGeneration, "from_pretrained", counted)
    task = Task("geneval", str(write_prompts(folder / "prompts")["geneval"]), str(folder / "out"))
    found = Path(make_pictures(task, [*RUN, *words_of(klein, folder)]))
    return {str(path.relative_to(found)): path.read_bytes() for path in found.rglob("*.png")}, loads[0]


def words_of(klein: str, folder: Path) -> list[str]:
    (folder / "my" / "reward").mkdir(parents=True)
    (folder / "my" / "reward" / "mean.yaml").write_text("_target_: tests.t2i.test_benchmark_encoders.Mean\n")
    return [f"model.repository={klein}", "trust=[tests]", f"hydra.searchpath=[file://{folder / 'my'}]"]


class Mean:
    scale = 1.0

    def __call__(self, x: Any) -> Any:
        return x.mean((1, 2, 3))


def test_encoders_are_loaded_once_for_many_prompts(klein: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together, once = pictures(klein, tmp_path / "together", monkeypatch)
    monkeypatch.setattr(runner, "TOGETHER", 1)
    alone, thrice = pictures(klein, tmp_path / "alone", monkeypatch)
    assert (once, thrice) == (1, 3)
    assert together == alone and len(set(together.values())) == len(together) > 0
