"""Every text-to-image model of the command line gives pictures from a folder, also in half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.command import Outcome
from tests.t2i.tiny_folders import FOLDERS, words_of

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("shallow_encoders")]
SMALL = (
    "reward=symmetry", 'prompt="a cat"', "population.groups=1", "population.particles=2", "sampler.steps=3",
    "baseline=false",
)  # fmt: skip
JUMPS = {"flux3_klein", "flux", "flux_ahead", "hunyuan_image", "sana_sprint", "sdxl_lcm", "generator"}  # have a map
SAVING = ("model.checkpointing=true", "population.chunk=1", "precision=bf16-true")  # as docs/text_to_image.md says


@pytest.fixture
def tilted(fmtt: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Outcome]:
    """A small run by gradients, with a model of :data:`FOLDERS`."""

    def command(name: str, *words: str) -> Outcome:
        look_ahead = "flowmap1" if name in JUMPS else "denoiser"
        mode = "noise_opt" if name == "generator" else "search"
        choices = (f"mode={mode}", f"lookahead={look_ahead}")
        done = fmtt(*words_of(name, tmp_path), *SMALL, *choices, *words, small=False)
        assert done.status == 0, done.err
        assert done.metrics["nfe/backward"] > 0 and done.metrics["nfe/decode"] > 0
        return done

    return command


@pytest.mark.parametrize("name", [name for name in FOLDERS if not name.startswith("flux3_klein")])
def test_a_choice_gives_pictures(name: str, tilted: Callable[..., Outcome]) -> None:
    """A page, which takes longer than the run, is made below."""
    pictures = load_file(tilted(name, "report=false").folder / "samples.safetensors")["decoded"]
    assert pictures.shape[-3:] == (3, 16, 24) and pictures.isfinite().all()
    assert (pictures.std((-2, -1)) > 1e-3).all()


@pytest.mark.parametrize("name", ["flux3_klein", "flux", "sana_sprint"])
def test_what_the_documentation_says_of_small_devices_runs(name: str, tilted: Callable[..., Outcome]) -> None:
    (path,) = (tilted(name, *SAVING).folder / "pictures").glob("*.png")
    with Image.open(path) as picture:
        assert picture.size == (24, 16) and picture.mode == "RGB"
        assert all(low < high for low, high in picture.getextrema())
