"""What docs/how_to.md shows works as it stands: its files are written, and its commands are run."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

import fmtt as package

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "how_to.md").read_text()
FILES = dict(re.findall(r'```\w+ title="([\w/.]+)"\n(.*?)```', TEXT, flags=re.DOTALL))
COMMANDS = re.findall(r"^PYTHONPATH=\. fmtt (.*)$", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_one_file_and_one_yaml(fmtt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    words = shlex.split(command.replace("--config-dir=my", f"--config-dir={tmp_path / 'my'}"))
    small = ["population.groups=2", "population.particles=8", "sampler.steps=4", "report=false"]
    outcome = fmtt(*words, *small, small=False)
    assert outcome.status == 0, outcome.complaint
    assert outcome.metrics["reward/weighted_mean"] > outcome.metrics["reward/base_mean"]


def test_each_kind_has_a_command() -> None:
    assert [re.search(r"(reward=radius|model=blob|model=gan|lookahead=heun)", command)[1] for command in COMMANDS] == [
        "reward=radius", "model=blob", "model=gan", "lookahead=heun",
    ]  # fmt: skip


@pytest.mark.skipif("conditions" not in inspect.signature(package.sample).parameters, reason="no conditions yet")
def test_prompts(capsys: pytest.CaptureFixture) -> None:
    """E[exp(x_0)] under N(c, 1) is exp(c_0 + 1/2)."""
    names: dict = {}
    exec(compile(FILES["prompts"], "how_to.md", "exec"), names)
    for (log_z, error), exact in zip(names["result"].log_z_and_error, (0.5, 3.5), strict=True):
        assert abs(log_z - exact) < max(4 * error, 0.15)
    assert capsys.readouterr().out.count("prompt") == 2
