"""The notebooks run from top to bottom, and are kept without outputs."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def to_run(path: Path) -> list[dict[str, Any]]:
    """The cells without those that install packages."""
    return [cell for cell in cells(path) if "install" not in cell["metadata"].get("tags", [])]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Executes the cells of a notebook in order; the names they leave, and how many pictures were shown."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown: list[int] = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(len(pyplot.get_fignums())))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(name: str, **settings: Any) -> tuple[dict[str, Any], int]:
        names: dict[str, Any] = {}
        for number, cell in enumerate(to_run(FOLDER / name)):
            exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), names)
            names |= {known: value for known, value in settings.items() if known in names}
        return names, len(shown)

    yield run
    pyplot.close("all")


def test_a_model_of_ones_own_is_tilted_to_the_known_answer(run, capsys: pytest.CaptureFixture) -> None:
    names, shown = run("own_model.ipynb")
    assert abs(names["log_z"] - names["exact_log_z"]) < 4 * names["log_z_error"] < 0.2
    assert ((names["per_group"].mean(0) - names["exact_mean"]).abs() < 4 * names["error"]).all()
    assert shown == 1 and "exact 2.5" in capsys.readouterr().out


@pytest.mark.slow
def test_the_files_of_a_run_are_read_by_plain_packages(run, capsys: pytest.CaptureFixture) -> None:
    names, shown = run("read_a_run.ipynb")
    assert names["weighted"].mean().item() == pytest.approx(names["metrics"]["reward/weighted_mean"], rel=1e-4)
    assert len(names["rows"]) >= 20
    assert shown == 2 and "log_z/mean" in capsys.readouterr().out


@pytest.mark.slow
def test_a_text_to_image_model_is_tilted(run, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="needs the extra t2i: make setup-t2i")
    from tests.t2i.tiny_rewards import clip, clip_folder
    from tests.t2i.tiny_sana_sprint import encoders, save_sana_sprint

    student, teacher = save_sana_sprint(tmp_path, encoders())
    judge = ["reward=clip", f"reward.repository={clip_folder(tmp_path / 'clip', clip())}"]
    names, shown = run(
        "sana_sprint.ipynb", repository=student, teacher=teacher, pixels=32, precision="32-true", reward=judge,
        size=["population.groups=2", "population.particles=2", "sampler.steps=3"],
    )  # fmt: skip
    assert shown == 1 and capsys.readouterr().out.count("reward") == 2
    assert names["metrics"]["search"]["nfe/backward"] > 0


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_kept(path: Path) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path))


def test_there_are_no_other_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["own_model.ipynb", "read_a_run.ipynb", "sana_sprint.ipynb"]
