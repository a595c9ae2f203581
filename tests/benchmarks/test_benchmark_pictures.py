"""Pictures of benchmarks: the same however the prompts are shared out, made once, and of one run only."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fmtt.benchmarks import BENCHMARKS
from fmtt.benchmarks.benchmark import BenchmarkPrompt
from fmtt.rewards import Symmetry
from fmtt.run import benchmark as runner
from fmtt.run.benchmark import Task, make_pictures, seed_of, task_of
from tests.benchmarks import scorers
from tests.benchmarks.tiny import DPG, GENEVAL, SIDE, TextPictures, write_configs, write_prompts

RUN = [
    "trust=[tests]",
    "model=tiny",
    "mode=best_of_n",
    "lookahead=none",
    "population.particles=3",
    "sampler.steps=3",
    "sampler/transport=euler",
]


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return write_prompts(tmp_path / "published")


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    return [write_configs(tmp_path / "configs"), *RUN]


def contents(folder: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_is_made(name: str, paths: dict[str, Path], settings: list[str], tmp_path: Path) -> None:
    folder = make_pictures(Task(name, str(paths[name]), str(tmp_path / "out")), settings)
    prompts = BENCHMARKS[name].read(paths[name])
    pictures = [path for path in contents(folder) if path.endswith(".png")]
    assert sorted(pictures) == sorted(str(path) for prompt in prompts for path in BENCHMARKS[name].layout(prompt))
    assert len({contents(folder)[path] for path in pictures}) == len(pictures)


def test_pictures_do_not_depend_on_parts(paths: dict[str, Path], settings: list[str], tmp_path: Path) -> None:
    whole = make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "whole")), settings)
    for part in (1, 0):
        parts = make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "parts"), part, 2), settings)
        made = {path.name for path in Path(parts).iterdir()}
        assert made == ({"00001"} if part else {"00000", "00001", "00002"})
    assert contents(whole) == contents(parts)
    assert contents(tmp_path / "whole" / "records") == contents(tmp_path / "parts" / "records")


def test_models_are_made_once(paths: dict[str, Path], settings: list[str], tmp_path: Path) -> None:
    before = TextPictures.made
    make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "out")), settings)
    assert TextPictures.made == before + 1


def test_pictures_show_their_prompt_and_another_seed_gives_others(
    paths: dict[str, Path], settings: list[str], tmp_path: Path
) -> None:
    seen = {}
    for seed in (0, 1):
        task = Task("geneval", str(paths["geneval"]), str(tmp_path / str(seed)))
        seen[seed], _ = scorers.geneval(Path(make_pictures(task, [*settings, f"seed={seed}"])))
    means = TextPictures().encode_prompts([row["prompt"] for row in GENEVAL]).numpy().transpose(0, 2, 3, 1)
    texts = [row["prompt"] for row in GENEVAL]
    for text, pixels in seen[0]:
        distances = [np.square(pixels / 127.5 - 1 - mean).mean() for mean in means]
        assert np.argmin(distances) == texts.index(text)
    for (_, one), (_, other) in zip(seen[0], seen[1], strict=True):
        assert not np.array_equal(one, other)


def test_what_is_there_is_not_made_again(
    paths: dict[str, Path], settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task("geneval", str(paths["geneval"]), str(tmp_path / "out"))
    folder = Path(make_pictures(task, settings))
    expected, kept = contents(folder), folder / "00001" / "samples" / "00002.png"
    kept.write_bytes(b"mine")
    (folder / "00001" / "samples" / "00003.png").unlink()
    (folder / "00002" / "metadata.jsonl").unlink()
    runs, unbroken = [], runner.result_of
    monkeypatch.setattr(
        runner, "result_of", lambda config, prompt: (runs.append(prompt.number), unbroken(config, prompt))[1]
    )
    make_pictures(task, settings)
    assert runs == [1]
    assert contents(folder) == expected | {"00001/samples/00002.png": b"mine"}


def test_an_interruption_leaves_whole_prompts_for_the_scorer(
    paths: dict[str, Path], settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = runner.result_of

    def breaking(config: object, prompt: BenchmarkPrompt) -> object:
        if prompt.number == 2:
            raise KeyboardInterrupt
        return unbroken(config, prompt)

    task = Task("geneval", str(paths["geneval"]), str(tmp_path / "out"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "result_of", breaking)
        make_pictures(task, settings)
    seen, metadata = scorers.geneval(tmp_path / "out" / "pictures")
    assert (len(seen), metadata) == (8, GENEVAL[:2])


def test_a_folder_holds_pictures_of_one_run(paths: dict[str, Path], settings: list[str], tmp_path: Path) -> None:
    task = Task("geneval", str(paths["geneval"]), str(tmp_path / "out"))
    make_pictures(task, settings)
    for changed, typed, what in (
        (task, [*settings, "seed=1"], "run"),
        (task, [*settings, "sampler.steps=4"], "run"),
        (Task("compbench", str(paths["compbench"]), task.folder), settings, "benchmark"),
    ):
        with pytest.raises(ValueError, match=f"folder={task.folder}: holds pictures of another {what}"):
            make_pictures(changed, typed)
    lines = paths["geneval"].read_text().split("\n")
    paths["geneval"].write_text("\n".join([lines[1], lines[0], lines[2]]))
    with pytest.raises(ValueError, match="holds pictures of another texts"):
        make_pictures(task, settings)


def test_records_say_what_a_prompt_cost(paths: dict[str, Path], settings: list[str], tmp_path: Path) -> None:
    make_pictures(Task("dpg", str(paths["dpg"]), str(tmp_path / "out")), settings)
    record = json.loads((tmp_path / "out" / "records" / "00000.json").read_text())
    assert (record["name"], record["text"]) == ("COCOval2014000000000042", "two dogs, one of them asleep")
    seen = scorers.dpg(tmp_path / "out" / "pictures", list(DPG), SIDE)[:4]
    kept = torch.tensor(np.stack([pixels for _, pixels in seen])).movedim(-1, 1) / 127.5 - 1
    assert record["rewards"] == pytest.approx(Symmetry()(kept).tolist(), abs=0.01)  # pixels are rounded, and clipped
    assert record["nfe/forward"] == 4 * 3 * 3  # pictures, particles, steps


def test_seeds_of_prompts_are_apart() -> None:
    prompts = [BenchmarkPrompt(0, name, "a cat") for name in ("0", "1", "00001")]
    seeds = [seed_of(seed, prompt) for seed in (0, 1) for prompt in prompts]
    assert len(set(seeds)) == 6
    assert seed_of(0, BenchmarkPrompt(5, "1", "a dog")) == seeds[1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["benchmark=geneval", "prompts=a", "folder=b", "prat=1"],
            "there is no setting 'prat'; allowed are benchmark, ",
        ),
        (["benchmark=geneval", "prompts=a"], "folder: must be given, as folder=..."),
        (["benchmark=geneva", "prompts=a", "folder=b"], "benchmark=geneva: must be one of geneval, geneval2"),
        (["benchmark=dpg", "prompts=a", "folder=b", "part=2", "parts=2"], "part=2: must be less than parts=2"),
        (["benchmark=dpg", "prompts=a", "folder=b", "part=-1"], "part=-1: must be a whole number"),
        (["benchmark=dpg", "prompts=a", "folder=b", "parts=0"], "parts=0: must be a whole number of at least 1"),
    ],
)
def test_a_wrong_task_is_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        task_of(words)


@pytest.mark.parametrize("word", ["prompt=x", "population.groups=3", "logger=csv", "resume=true", "+prompt=x"])
def test_what_a_benchmark_sets_itself_is_refused(
    word: str, paths: dict[str, Path], settings: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="has no effect here"):
        make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "out")), [*settings, word])


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("model=mnist", "prompt: this model takes no prompt"),
        ("reward.scale=nan", "reward.scale=nan"),
        ("seed=-1", "seed=-1: must be a whole number"),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    word: str, complaint: str, paths: dict[str, Path], settings: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "out")), [*settings, word])


def test_a_held_out_reward_and_the_cost_are_kept_beside_the_pictures(
    paths: dict[str, Path], settings: list[str], tmp_path: Path
) -> None:
    words = [*settings, "mode=importance", "lookahead=denoiser", "reward.scale=3", "reward@held_out=antisymmetry"]
    make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "out")), words)
    for file in (tmp_path / "out" / "records").iterdir():
        record = json.loads(file.read_text())
        assert len(record["held_out"]) == len(record["rewards"]) == BENCHMARKS["geneval"].samples
        assert record["held_out"] != record["rewards"] and np.isfinite(record["held_out"]).all()
        assert np.isfinite([record["kl"], record["kl/stderr"]]).all()


def test_a_prompt_without_its_record_is_not_done(paths: dict[str, Path], settings: list[str], tmp_path: Path) -> None:
    """A record is written last, so a process that was killed before it leaves a prompt that is made again."""
    task = Task("geneval", str(paths["geneval"]), str(tmp_path / "out"))
    make_pictures(task, settings)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "records" / "00001.json").unlink()
    make_pictures(task, settings)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("word", ["devices=2", "launcher=joblib", "fail_fast=true", "checkpoint.seconds=1"])
def test_settings_without_an_effect_are_refused(
    paths: dict[str, Path], settings: list[str], tmp_path: Path, word: str
) -> None:
    with pytest.raises(ValueError, match=f"{word.partition('=')[0]}: has no effect here"):
        make_pictures(Task("geneval", str(paths["geneval"]), str(tmp_path / "out")), [*settings, word])
