"""The table of edits, from pictures whose content is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fmtt.data.images import read_sample
from fmtt.data.scene_edits import judged
from fmtt.studies.scenes_edit import study_edits
from tests.run_folder import make_run

QUESTION = "Is the circle green?"


def recoloured() -> torch.Tensor:
    """``scene_1`` with a green circle in the place of a red one, and with a green circle alone, ``(2, 3, 32, 32)``."""
    picture = read_sample("path", "scene_1", (3, 32, 32))
    red = (picture[0] > 0.2) & (picture[1] < 0)
    green = torch.where(red, torch.tensor([-0.8, 0.24, -0.64])[:, None, None], picture)
    return torch.stack([green, torch.where(picture[2:] > 0.5, picture[:, :1, :1], green)])


def test_edits_are_made_and_keep_the_rest() -> None:
    picture = read_sample("path", "scene_1", (3, 32, 32))
    found = judged(picture, QUESTION, torch.cat([picture[None], recoloured(), torch.zeros(1, 3, 32, 32)]))
    assert found["made"].tolist() == [0, 1, 1, 0]
    assert found["kept"].tolist() == [1, 1, 0, 0]
    assert found["edited"].tolist() == [0, 1, 0, 0]


def edit_run(folder: Path, mode: str, number: int, edited: float) -> Path:
    """A run that edited ``scene_<number>``, a share of ``edited`` rightly."""
    of = "unweighted" if mode == "base" else "selected"
    verdicts = {"edited": edited, "made": 0.75, "kept": edited, "says_yes": 1.0, "broken": 0.0}
    run = make_run(
        folder / f"{mode}{number}",
        (3, 32, 32),
        (f"mode={mode}", f"sampler.start.path=scene_{number}", f"prompt=circle {number}"),
        metrics={"nfe/weighted/group": 64, **{f"{name}/{of}": value for name, value in verdicts.items()}},
        config={"reward": {"terms": {"change": {"question": QUESTION}}}},
    )
    pictures = recoloured()[:, None].numpy()
    arrays = {"samples": pictures, "selected": np.zeros(2, int), "rewards": np.zeros((2, 1), np.float32)}
    save_file(arrays, run / "samples.safetensors")
    return run


def test_the_table_has_a_row_for_each_method_best_first(tmp_path: Path) -> None:
    for mode, shares in {"base": (0.0, 0.25), "beam": (0.25, 0.75), "search": (1.0, 1.0)}.items():
        for number, edited in enumerate(shares, 1):
            edit_run(tmp_path, mode, number, edited)
    assert study_edits([tmp_path], tmp_path / "table").splitlines() == [
        "| method | cost | both, % | change made, % | rest kept, % | reward says yes, % | broken, % | below the best |",
        "|---|---|---|---|---|---|---|---|",
        "| search | 64 | 100.0 ± 0.0 | 75.0 ± 0.0 | 100.0 ± 0.0 | 100.0 ± 0.0 | 0.0 ± 0.0 | 0.0 ± 0.0 |",
        "| beam | 64 | 50.0 ± 25.0 | 75.0 ± 0.0 | 50.0 ± 25.0 | 100.0 ± 0.0 | 0.0 ± 0.0 | 50.0 ± 25.0 |",
        "| base | 64 | 12.5 ± 12.5 | 75.0 ± 0.0 | 12.5 ± 12.5 | 100.0 ± 0.0 | 0.0 ± 0.0 | 87.5 ± 12.5 |",
    ]
    assert (tmp_path / "table.png").is_file()


def test_restored_runs_have_no_samples_and_make_the_table_alone(tmp_path: Path) -> None:
    (edit_run(tmp_path / "runs", "search", 1, 1.0) / "samples.safetensors").unlink()
    edit_run(tmp_path / "runs", "search", 2, 1.0)
    assert "| search | 64 | 100.0 ± 0.0 |" in study_edits([tmp_path / "runs"], tmp_path / "table")
    assert not (tmp_path / "table.png").exists()


def test_a_method_that_did_not_edit_all_pictures_is_named(tmp_path: Path) -> None:
    for mode, number in (("search", 1), ("search", 2), ("beam", 2)):
        edit_run(tmp_path, mode, number, 1.0)
    with pytest.raises(ValueError, match="beam: edited 1 of 2 pictures"):
        study_edits([tmp_path], tmp_path / "table")
