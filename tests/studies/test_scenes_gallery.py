"""The picture of what methods return for prompts: which pictures it shows, and which of them have a frame."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fmtt import run_folder
from fmtt.studies import scenes_gallery
from fmtt.studies.scenes_gallery import draw_prompts, first_of_categories, returned_pictures, runs_of


def folder_with_runs(folder: Path) -> Path:
    """Two prompts with two groups of three particles; the picture of particle n of group g is all (3 g + n) / 12."""
    folder.mkdir(exist_ok=True)
    values = np.arange(12, dtype=np.float32).reshape(4, 3) / 12
    samples = np.broadcast_to(values[..., None, None, None], (4, 3, 3, 8, 8)).copy()
    arrays = {"samples": samples, "selected": np.array([2, 0, 1, 1]), "prompt": np.array([0, 0, 1, 1])}
    save_file(arrays, folder / "samples.safetensors")
    rows = [{"group": g, "prompt": g // 2, "reward": 0.0, "right": right} for g, right in enumerate([0, 1, 1, 1])]
    run_folder.write_returned(folder, rows)
    texts = ["a circle", "a star", "a star and a circle"]
    run_folder.write_prompts(folder, texts, ["single", "single", "two"], [{}, {}, {}])
    return folder


def test_returned_pictures_are_the_selected_ones(tmp_path: Path) -> None:
    pictures, right = returned_pictures(folder_with_runs(tmp_path), 0)
    assert pictures[:, 0, 0, 0] == pytest.approx([2 / 12, 3 / 12])
    assert right == [1]
    assert returned_pictures(tmp_path, 1)[1] == [0, 1]


def test_the_first_prompt_of_each_category_is_shown(tmp_path: Path) -> None:
    assert first_of_categories(folder_with_runs(tmp_path)) == {0: "a circle", 2: "a star and a circle"}


def test_there_is_a_block_for_each_prompt_and_method(tmp_path: Path) -> None:
    folder = folder_with_runs(tmp_path)
    figure = draw_prompts({"base": folder, "fmrg": folder}, {0: "a circle", 1: "a star"})
    assert [axis.get_title() for axis in figure.axes] == ["base", "fmrg", "", ""]
    framed = [np.all(axis.images[0].get_array() == [220, 38, 38], axis=-1).any() for axis in figure.axes]
    assert framed == [True] * 4


def test_unknown_methods_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes_gallery, "finished_runs", lambda folders: [])
    with pytest.raises(ValueError, match="magic: must be one of"):
        runs_of(tmp_path, "64", ["magic"])
