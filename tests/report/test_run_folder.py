"""What is written into a run folder is read from it."""

import math
from pathlib import Path

import numpy as np
import pytest

from fmtt import run_folder
from fmtt.run_folder import HISTORY, HISTORY_COLUMNS, METRICS


def test_metrics_know_nan_where_json_has_null(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, {"log_z": [-1.0, math.nan], "log_z/stderr": math.nan, "steps": 3})
    assert (tmp_path / METRICS).read_text() == '{\n  "log_z": [\n    -1.0,\n    null\n  ],\n' + (
        '  "log_z/stderr": null,\n  "steps": 3\n}'
    )
    read = run_folder.read_metrics(tmp_path)
    assert read["steps"] == 3 and math.isnan(read["log_z/stderr"])
    np.testing.assert_equal(read["log_z"], [-1.0, math.nan])


def test_a_history_has_its_columns_with_rows_and_without(tmp_path: Path) -> None:
    run_folder.write_history(tmp_path, [{"step": 0, "t": 0.0}, {"step": 1, "t": math.nan}])
    read = run_folder.read_history(tmp_path)
    np.testing.assert_equal(read, {"step": np.array([0.0, 1.0]), "t": np.array([0.0, math.nan])})
    run_folder.write_history(tmp_path, [])
    assert (tmp_path / HISTORY).read_text().strip() == ",".join(HISTORY_COLUMNS)
    assert run_folder.read_history(tmp_path) == {}


def test_arrays_keep_their_numbers_and_their_names(tmp_path: Path) -> None:
    samples, x = np.arange(12, dtype=np.float32).reshape(2, 3, 2), np.ones((2, 1, 3, 2), np.float16)
    run_folder.write_samples(tmp_path, {"samples": samples.swapaxes(1, 2), "selected": np.array([0, 2])})
    read = run_folder.read_samples(tmp_path)
    np.testing.assert_array_equal(read["samples"], samples.swapaxes(1, 2))
    assert read["selected"].tolist() == [0, 2]
    assert run_folder.read_film(tmp_path) == {}
    run_folder.write_film(tmp_path, {"x": x})
    assert run_folder.read_film(tmp_path)["x"].dtype == np.float16
    with pytest.raises(ValueError, match=r"samples\.safetensors has no arrays \['sample'\]"):
        run_folder.write_samples(tmp_path, {"sample": samples})


def test_a_failure_has_its_status_and_its_reason(tmp_path: Path) -> None:
    assert run_folder.read_error(tmp_path) is None
    run_folder.write_error(tmp_path, 2, "there is no setting 'a b'")
    assert run_folder.read_error(tmp_path) == (2, "there is no setting 'a b'")


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert run_folder.read_overrides(tmp_path) == () and run_folder.read_environment(tmp_path) == {}
    run_folder.write_environment(tmp_path, {"device": "cpu"})
    assert run_folder.read_environment(tmp_path) == {"device": "cpu"}


def test_a_prompt_has_its_text_its_category_and_its_numbers(tmp_path: Path) -> None:
    assert run_folder.read_prompts(tmp_path) == []
    parts = [{"log_z": [0.5], "reward/mean": -1.0}, {"log_z": [0.25], "reward/mean": math.nan}]
    run_folder.write_prompts(tmp_path, ["a cat, red", "a dog"], ["colours", ""], parts)
    lines = (tmp_path / run_folder.PROMPTS).read_text().splitlines()
    assert lines == ["prompt,text,category,reward/mean", '0,"a cat, red",colours,-1.0', "1,a dog,,nan"]
    assert run_folder.read_prompts(tmp_path)[0]["text"] == "a cat, red"


def test_what_is_said_of_returned_samples_is_kept(tmp_path: Path) -> None:
    assert run_folder.read_returned(tmp_path) == []
    run_folder.write_returned(tmp_path, [{"group": 0, "prompt": 0, "reward": -1.5, "right": 1.0}])
    assert run_folder.read_returned(tmp_path) == [{"group": "0", "prompt": "0", "reward": "-1.5", "right": "1.0"}]
