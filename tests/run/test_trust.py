"""What a configuration may call, and what is refused before anything of it is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fmtt.rewards import Linear
from fmtt.run.trust import check_trust, made

FOREIGN = (
    "os.system", "torch.load", "numpy.load", "joblib.load", "builtins.open", "shutil.copy", "subprocess.run",
    "hydra.utils.instantiate",
)  # fmt: skip


@pytest.mark.parametrize("target", FOREIGN)
def test_other_packages_are_refused(target: str) -> None:
    package = target.partition(".")[0]
    with pytest.raises(ValueError, match=rf"^_target_: {target} is called only if .*: trust=\[{package}\]$"):
        made(OmegaConf.create({"_target_": "fmtt.rewards.Linear", "direction": {"_target_": target}}), [])


@pytest.mark.parametrize(
    "target",
    [
        "fmtt.run.cli.os.system",
        "fmtt.files.write_whole",
        "fmtt.run.trust.instantiate",
        "fmtt.run.execute.execute",
        "fmtt.models.checkpoints.save_network",
    ],
)
def test_what_has_our_name_and_is_not_a_part_of_a_run_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=f"^_target_: {target} is not a part of a run; it comes from "):
        made(OmegaConf.create({"_target_": target}), [])


def test_nothing_is_imported_before_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('mark').touch()\nclass Reward: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    node = OmegaConf.create({"_target_": "evil.Reward"})
    with pytest.raises(ValueError, match=r"trust=\[evil\]"):
        made(node, [])
    assert "evil" not in sys.modules and not (tmp_path / "mark").exists()
    assert type(made(node, ["evil"])).__name__ == "Reward" and (tmp_path / "mark").exists()


def test_a_trusted_package_does_not_lend_its_name() -> None:
    assert os.system.__module__ == "posix"
    with pytest.raises(ValueError, match="it comes from posix"):
        made(OmegaConf.create({"_target_": "tests.run.test_trust.os.system"}), ["tests"])


def test_a_target_in_disguise_is_found() -> None:
    config = OmegaConf.create({"word": "os", "reward": {"_target_": "${word}.system", "_args_": ["true"]}})
    with pytest.raises(ValueError, match=r"os\.system is called only if"):
        made(config.reward, [])


def test_ours_are_made() -> None:
    assert made(OmegaConf.create({"_target_": "fmtt.rewards.Linear", "direction": [1.0]}), []) == Linear((1.0,))


@pytest.mark.parametrize("wrong", ["os", "[os.path]", "[1]", "null", "{a: 1}"])
def test_trust_is_a_list_of_packages(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"^trust=.*: must be a list of packages, such as \[my_package\]"):
        check_trust(OmegaConf.create(f"trust: {wrong}").trust)
