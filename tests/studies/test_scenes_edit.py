"""The table of edits, from pictures whose content is known."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from fmtt.data.images import read_sample
from fmtt.studies.scenes_edit import judged, study_edits
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
    assert found["made"].tolist() == [False, True, True, False]
    assert found["kept"].tolist() == [True, True, False, False]
    assert found["both"].tolist() == [False, True, False, False]
    assert found["broken"].tolist() == [False, False, False, True]


def test_the_table_has_a_row_for_each_method(tmp_path: Path) -> None:
    edits = recoloured()
    for mode, pictures in {"search": edits[[0, 0]], "beam": edits}.items():
        for number in (1, 2):
            config = {
                "sampler": {"start": {"path": "scene_1"}},
                "reward": {"terms": {"change": {"question": QUESTION}}},
            }
            run = make_run(
                tmp_path / f"{mode}{number}",
                (3, 32, 32),
                (f"mode={mode}", f"sampler.start.path=scene_{number}", f"prompt=circle {number}"),
                metrics={"nfe/weighted": 128},
                config=config,
            )
            (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("scene_2", "scene_1"))
            samples = pictures[:, None].numpy()
            arrays = {"samples": samples, "selected": np.zeros(2, int), "rewards": np.zeros((2, 1), np.float32)}
            save_file(arrays, run / "samples.safetensors")
    lines = study_edits([tmp_path], tmp_path / "table").splitlines()
    assert lines[0] == "| method | cost | change made, % | rest kept, % | both, % | broken, % |"
    assert sorted(lines[2:]) == [
        "| beam | 64 | 100.0 ± 0.0 | 50.0 ± 0.0 | 50.0 ± 0.0 | 0.0 ± 0.0 |",
        "| search | 64 | 100.0 ± 0.0 | 100.0 ± 0.0 | 100.0 ± 0.0 | 0.0 ± 0.0 |",
    ]
    assert (tmp_path / "table.png").is_file()
