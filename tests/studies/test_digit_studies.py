"""The studies of digits, galleries and tables, on small sweeps."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from fmtt.data.mnist import available, load_mnist, to_unit_range
from fmtt.studies.gallery import blocks_of, write_gallery
from fmtt.studies.kinds_table import draw_kinds, kinds_table
from fmtt.studies.runs import finished_kinds
from fmtt.studies.tilt_to_digit import jackknife, study_tilt_to_digit
from tests.run_folder import make_run

TINY = ["reward=digit", "logger=none", "report=false", "baseline=false", "lookahead=flowmap1", "sampler.steps=3",
        "population.groups=2"]  # fmt: skip


@pytest.mark.skipif(not available(), reason="needs the files of MNIST")
def test_samples_tilted_to_a_digit_are_compared_with_real_ones(fmtt, tmp_path: Path) -> None:
    fmtt("-m", *TINY, "model=mnist", "population.particles=8", "seed=0,1", small=False, folder="tilted")
    fmtt(
        "-m",
        *TINY,
        "model=mnist",
        "mode=base",
        "population.particles=64",
        "sampler.steps=8",
        small=False,
        folder="base",
    )
    text = study_tilt_to_digit([tmp_path / "tilted", tmp_path / "base"], 0, tmp_path / "zeros")
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in text.splitlines() if line.startswith("|")}
    assert {"flowmap1", "rejection", "real"} <= set(rows)
    assert rows["flowmap1"][1] == "32" and rows["real"][1] == "488"
    assert "-2.316" in text
    assert (tmp_path / "zeros.md").read_text() == text + "\n"
    with Image.open(tmp_path / "zeros.png") as picture:
        assert picture.size == (1020, 552)


@pytest.mark.skipif(not available(), reason="needs the files of MNIST")
def test_rejection_and_weights_pick_the_digit(tmp_path: Path) -> None:
    """Real digits take the place of samples: zeros have all the weight, or are accepted, or count as all others do."""
    images, labels = load_mnist("test")
    x, zero = to_unit_range(images[:400]).view(2, 200, 1, 28, 28), (labels[:400] == 0).view(2, 200)
    values = torch.where(zero, 0.0, -30.0)
    metrics = {"classes/tilted": [1.0] + [0.0] * 9, "log_z": [-2.0, -3.0]}
    metrics |= dict.fromkeys(
        ("ess/final", "discrepancy", "thermodynamic_length", "ancestors/unique", "nfe/weighted/group"), 1.0
    )
    weights = {"flowmap1": values.double(), "none": torch.zeros(2, 200, dtype=torch.float64)}
    runs = {look: ((f"lookahead={look}",), {"log_weights": weights[look]}) for look in weights}
    runs["base"] = (("mode=base", "lookahead=none"), {})
    for name, (overrides, arrays) in runs.items():
        folder = make_run(tmp_path / "runs" / name, overrides=overrides, metrics=metrics)
        save_file({"samples": x, "rewards": values, **arrays}, folder / "samples.safetensors")
    text = study_tilt_to_digit([tmp_path / "runs"], 0, tmp_path / "zeros")
    head, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[0:1] == "|"
    )
    rows = {line[0]: dict(zip(head, line, strict=True)) for line in lines}

    def number(row: str, column: str) -> float:
        return float(rows[row][column].split()[0])

    assert number("rejection", "samples") == zero.sum() and number("rejection", "accuracy") == 1
    assert number("rejection", "log Z") == pytest.approx(zero.double().mean().log().item(), abs=0.01)
    assert number("flowmap1", "log Z") == pytest.approx(math.log((math.exp(-2) + math.exp(-3)) / 2), abs=0.01)
    assert number("flowmap1", "Frechet") < number("none", "Frechet") / 3
    assert number("none", "precision") < 0.3 < 0.8 < number("flowmap1", "precision")
    assert number("rejection", "recall") > 0.4 and number("real", "Frechet") < number("rejection", "Frechet")


def test_digits_of_nothing_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished runs below"):
        study_tilt_to_digit([tmp_path], 0, tmp_path / "zeros")


def test_errors_by_leaving_out_each_run() -> None:
    parts = torch.tensor([1.0, 2.0, 4.0, 9.0]).unsqueeze(1).unbind()
    value, error = jackknife(lambda part: part.mean().item(), parts)
    values = np.array([1.0, 2.0, 4.0, 9.0])
    assert value == 4 and error == pytest.approx(values.std(ddof=1) / 2)
    assert math.isnan(jackknife(lambda part: part.mean().item(), parts[:1])[1])


def test_a_gallery_has_a_block_for_each_pair_of_values(fmtt, tmp_path: Path) -> None:
    words = ["model=mnist", "report=false", "baseline=false", "lookahead=flowmap1", "sampler.steps=2"]
    fmtt(
        "-m",
        *words,
        "population.particles=2",
        "mode=base,guidance",
        "reward=symmetry,rotation",
        small=False,
        folder="g",
    )
    out = tmp_path / "gallery.png"
    write_gallery([tmp_path / "g"], "reward", "mode", 4, out)
    found = blocks_of([tmp_path / "g"], "reward", "mode")
    assert set(found) == {(reward, mode) for reward in ("symmetry", "rotation") for mode in ("base", "guidance")}
    with Image.open(out) as picture:
        assert picture.width > 400 and picture.height > 350


def test_a_gallery_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished runs below"):
        write_gallery([tmp_path], "reward", "mode", 4, tmp_path / "gallery.png")


def test_a_table_has_a_row_for_each_kind_and_a_picture_a_panel(tmp_path: Path) -> None:
    for mode, reward in (("search", -0.5), ("beam", -0.25)):
        for seed in range(3):
            value = reward + 0.03 * (seed if mode == "search" else 0)
            overrides = (f"mode={mode}", f"seed={seed}")
            make_run(tmp_path / "runs" / f"{mode}{seed}", overrides=overrides, reward=value)
    (make_run(tmp_path / "runs" / "unfinished", overrides=("mode=das", "seed=0")) / "metrics.json").unlink()
    kinds = finished_kinds([tmp_path / "runs"])
    assert kinds_table(kinds, ("reward/mean", "nfe/forward", "nothing")).splitlines() == [
        "| mode | reward/mean | nfe/forward | nothing |",
        "|---|---|---|---|",
        "| beam | \N{MINUS SIGN}0.25 | 1,200 |  |",
        "| search | \N{MINUS SIGN}0.470 ± 0.017 | 1,200 |  |",
    ]
    figure = draw_kinds(kinds)
    assert figure.get_figwidth() > 10 and len(figure.axes) == 4
    with pytest.raises(ValueError, match="no finished runs below"):
        finished_kinds([tmp_path / "nowhere"])
