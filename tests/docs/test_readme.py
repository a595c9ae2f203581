"""The README's code runs, its commands compose, and what it names exists."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fmtt.run.configs import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_library_examples_find_the_closed_forms(capsys: pytest.CaptureFixture) -> None:
    names: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)  # the page is the program under test
    result, denoised, told = names["result"], names["denoised"], names["told"]
    mean = result.mean(result.samples)
    error = mean.std(0) / len(mean) ** 0.5
    assert ((mean.mean(0) - torch.tensor([1.5, -1.0])).abs() < 4 * error).all()
    for (log_z, error), exact in zip(
        [result.log_z_and_error, denoised.log_z_and_error, *told.log_z_and_error], (2.5, 2.5, 2.5, 4.5), strict=True
    ):
        assert abs(log_z - exact) < 4 * error
        assert error < 0.1
    assert torch.equal(told.decoded, told.samples.flip(2))
    assert capsys.readouterr().out


def test_the_readme_is_short() -> None:
    assert len(TEXT.splitlines()) <= 150


def commands(page: str) -> list[str]:
    """The runs that a page shows; a command may go on in the next line."""
    found = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = [line for block in found for line in block.replace("\\\n", " ").splitlines()]
    return [line.split(" #")[0] for line in lines if line.startswith("python run.py")]


COMMANDS = [*commands(TEXT), *commands((ROOT / "docs" / "text_to_image.md").read_text())]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str) -> None:
    words = [word for word in shlex.split(command)[2:] if not word.startswith("-")]
    single = [word.split(",")[0] if "[" not in word else word for word in words]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert OmegaConf.to_container(compose("config", overrides=single), resolve=True)


def test_files_that_are_named_exist() -> None:
    named = {*re.findall(r"`((?:fmtt|scripts|configs)/[\w/]+\.\w+)", TEXT), *re.findall(r"\]\((\w[^)#:]*)\)", TEXT)}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_what_the_table_of_equations_names_exists() -> None:
    table = (ROOT / "docs/equations.md").read_text()
    assert all((ROOT / file).is_file() for file in re.findall(r"`(fmtt/[\w/]+\.py)", table))
    for file, name in re.findall(r"`(fmtt/[\w/]+\.py): ([\w.]+)`", table):
        source = (ROOT / file).read_text()
        assert all(re.search(rf"(class|def) {part}\b", source) for part in name.split(".")), (file, name)


def test_every_choice_of_the_table_is_a_file() -> None:
    rows = re.findall(r"^\| `(model|lookahead|reward|mode)` \| (.*) \|$", TEXT, flags=re.MULTILINE)
    assert len(rows) == 4
    for group, choices in rows:
        assert set(re.findall(r"`(\w+)`", choices)) == {file.stem for file in (CONFIGS / group).glob("*.yaml")}
