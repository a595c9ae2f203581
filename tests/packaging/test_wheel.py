"""The wheel runs by itself, far from a checkout: it holds the configurations, the networks and the pages."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from fmtt.run.configs import find_configs

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("fmtt", "configs", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
JOB = ["lookahead=flowmap1", "reward=symmetry", "population.groups=1", "population.particles=2", "sampler.steps=2",
       "logger=none"]  # fmt: skip

WRONG = {
    "lookahead=crystal_ball": "flowmap4",
    "reward.loudness=3": "allowed are",
    "sampler.epsilon=loud": "regularised",
}


def call(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = call(*pip, "--wheel-dir", folder / "dist", folder, cwd=folder)
    assert built.returncode == 0, built.stderr
    return next((folder / "dist").glob("fmtt-*.whl"))


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel, and the dependencies of this one but not its fmtt.

    A ``.pth`` file adds our site-packages at the end of the path; the ``.pth`` of an editable fmtt in it is not read.
    """
    environment = tmp_path_factory.mktemp("environment")
    made = call(sys.executable, "-m", "venv", environment, cwd=environment)
    assert made.returncode == 0, made.stderr
    packages = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = environment / "bin" / "python"
    installed = call(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=environment)
    assert installed.returncode == 0, installed.stderr
    place = call(python, "-c", "import fmtt; print(fmtt.__file__)", cwd=environment).stdout.strip()
    assert Path(place) == packages / "fmtt" / "__init__.py"
    return python.parent


@pytest.mark.slow
def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = call("git", "ls-files", "fmtt", "configs", cwd=ROOT).stdout.split()
    assert tracked
    expected = {name if name.startswith("fmtt/") else f"fmtt/{name}" for name in tracked if Path(name).suffix != ".md"}
    assert expected - names == set()
    assert [name for name in names if not name.startswith(("fmtt/", "fmtt-"))] == []


@pytest.mark.slow
def test_the_command_runs_in_an_empty_folder(bin_folder: Path, tmp_path: Path) -> None:
    """One test, so that one process of several makes one environment."""
    done = call(bin_folder / "fmtt", *JOB, "hydra.run.dir=here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "here" / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["here"]
    left = {file.name for file in (tmp_path / "here").iterdir()}
    assert {"config.yaml", "metrics.json", "history.csv", "samples.safetensors", "samples.png", "report.html"} <= left
    for word, allowed in WRONG.items():
        done = call(bin_folder / "fmtt", *JOB, word, "hydra.run.dir=there", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("fmtt: ") and len(done.stderr.splitlines()) == 1
        assert allowed in done.stderr


def test_configurations_are_inside_a_wheel_and_beside_the_package_of_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "fmtt"
    assert find_configs(package) == tmp_path / "configs"
    (package / "configs").mkdir(parents=True)
    assert find_configs(package) == package / "configs"
