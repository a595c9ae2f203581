"""Every script starts, prints what its study finds, and says in one line what it cannot do."""

import runpy
from pathlib import Path

import pytest

from fmtt.data.images import read_sample
from fmtt.data.scene_edits import judged
from fmtt.run.lines import lines_of
from tests.benchmarks.tiny import write_configs, write_prompts
from tests.run_folder import make_run

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
STUDIES = (
    "clock_law",
    "clocks",
    "frontier",
    "gallery",
    "maximisers",
    "sampling_frontier",
    "scenes_edit",
    "scenes_geneval",
    "scenes_law",
    "scenes_rates",
    "sensitivity",
    "table",
    "tilt_to_digit",
    "tuning",
)
REQUIRED = {"gallery": ("--rows", "reward", "--columns", "mode"), "table": ("--columns", "reward/mean")}


@pytest.mark.parametrize("name", sorted(file.name for file in SCRIPTS.glob("*.py")))
def test_every_script_starts(name: str) -> None:
    assert callable(runpy.run_path(str(SCRIPTS / name))["main"])


@pytest.mark.parametrize("name", STUDIES)
def test_a_script_without_runs_says_so(run_script, capsys: pytest.CaptureFixture, tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit) as exit:
        run_script(f"{name}.py", tmp_path, *REQUIRED.get(name, ()))
    assert exit.value.code == 2
    assert capsys.readouterr().err == f"fmtt: no finished runs below {tmp_path}\n"


def test_a_script_prints_the_table_and_writes_the_picture(run_script, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "0")
    text = run_script("table.py", tmp_path / "runs", "--columns", "nfe/forward", "--picture", tmp_path / "runs.png")
    assert text.splitlines() == ["| mode | nfe/forward |", "|---|---|", "| search | 1,200 |"]
    assert (tmp_path / "runs.png").is_file()


def test_a_benchmark_is_made_and_stands_in_a_table(run_script, tmp_path: Path) -> None:
    prompts, configs = write_prompts(tmp_path / "published")["geneval2"], write_configs(tmp_path / "configs")
    task = ("benchmark=geneval2", f"prompts={prompts}", f"folder={tmp_path / 'out'}", "part=1", "parts=2")
    run = (
        configs,
        "trust=[tests]",
        "model=tiny",
        "mode=base",
        "lookahead=none",
        "population.particles=1",
        "sampler.steps=3",
    )
    assert run_script("benchmark_pictures.py", *task, "--", *run) == f"{tmp_path / 'out' / 'pictures'}\n"
    assert [path.name for path in (tmp_path / "out" / "pictures").glob("*.png")] == ["0001.png"]
    table = run_script("benchmark_table.py", f"{tmp_path / 'out'}=0.5")
    assert table.splitlines()[-1] == f"| **{' '.join(run)} (prompts missing: 1)** | 3 | 0.5 |"


def test_a_benchmark_without_a_name_is_refused(run_script, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit:
        run_script("benchmark_pictures.py", "folder=out", "--", "model=mnist")
    assert exit.value.code == 2
    assert capsys.readouterr().err == "fmtt: benchmark: must be given, as benchmark=...\n"


def test_a_benchmark_whose_judge_is_down_says_so(run_script, tmp_path: Path) -> None:
    prompts, configs = write_prompts(tmp_path / "published")["geneval2"], write_configs(tmp_path / "configs")
    task = ("benchmark=geneval2", f"prompts={prompts}", f"folder={tmp_path / 'out'}")
    judge = ("reward=server", "reward.address=http://127.0.0.1:1", "reward.retries=0")
    with pytest.raises(SystemExit, match=r"^fmtt: reward.address=http://127.0.0.1:1: .*; the same command goes on$"):
        run_script(
            "benchmark_pictures.py",
            *task,
            "--",
            configs,
            "trust=[tests]",
            "model=tiny",
            "lookahead=none",
            "mode=base",
            *judge,
        )


def test_the_script_prints_settings_of_the_budget(run_script) -> None:
    text = run_script(
        "measure_costs.py",
        "model=gaussian",
        "reward=linear",
        "lookahead=denoiser",
        "measure.rounds=2",
        "measure.rows=3",
    )
    assert text.splitlines()[0] == "| call | ms for a sample | cost |"
    assert text.splitlines()[-1].startswith("budget.backward_cost=")


def test_velocities_are_checked_against_flow_maps(run_script) -> None:
    """The exact flow map of a mixture follows its velocity."""
    text = run_script("check_velocity.py", "model=gmm8", "reward=halfplane", "check.starts=[0.5]", "check.rows=4")
    assert text.splitlines()[0] == "| from t | to the ODE | to two jumps | error of the solver |"
    assert text.splitlines()[2] == "| 0.5 | 0.00% | 0.00% | 0.00% |"
    with pytest.raises(SystemExit):
        run_script("check_velocity.py", "model=gmm8", "reward=halfplane", "check.steps=1")


def test_edits_are_drawn_as_lines_of_a_sweep(run_script, tmp_path: Path) -> None:
    run_script("draw_scene_edits.py", tmp_path / "edits", "--count", "3", "--seed", "1")
    lines = lines_of(str(tmp_path / "edits" / "tasks.txt"))
    assert len(lines) == 3
    for path, prompt, question in lines:
        picture = read_sample("path", path.removeprefix("sampler.start.path="), (3, 32, 32))
        text = question.removeprefix('reward.terms.change.question="').rstrip('"')
        assert prompt.startswith('prompt="a ')
        assert judged(picture, text, picture[None])["kept"].tolist() == [1]
