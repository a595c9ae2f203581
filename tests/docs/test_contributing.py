"""CONTRIBUTING.md draws the structure as it is, in the order of import-linter, and names files that exist."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
DRAWN = re.search(r"```text\nfmtt/\n(.*?)```", TEXT, flags=re.DOTALL)


def drawn() -> list[set[str]]:
    """The names on each line, ``[{"run"}, ..., {"step", "smc"}, ...]``: those before the description."""
    assert DRAWN is not None
    names = [re.match(r"((?: +\w+(?:/|\.py)(?= ))+)", line)[1].split() for line in DRAWN[1].splitlines()]
    return [{name.removesuffix("/").removesuffix(".py") for name in line} for line in names]


def test_every_folder_and_module_is_drawn_as_what_it_is() -> None:
    children = [child for child in (ROOT / "fmtt").iterdir() if not child.name.startswith("_")]
    folders = {f"{child.name}/" for child in children if (child / "__init__.py").exists()}
    modules = {child.name for child in children if child.suffix == ".py"}
    assert DRAWN is not None
    assert set(re.findall(r"(?<= )\w+(?:/|\.py)(?= )", DRAWN[1])) == folders | modules
    assert set().union(*drawn()) == {name.removesuffix("/").removesuffix(".py") for name in folders | modules}


def test_the_order_is_that_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    names = [{name.strip().removeprefix("fmtt.") for name in layer.split("|")} for layer in layers]
    assert drawn() == names


def test_the_line_without_frameworks_is_where_the_contract_draws_it() -> None:
    """Of what is drawn from api.py down, only the exact references and the files of a run may import more."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(contract["source_modules"] for contract in contracts if contract["type"] == "forbidden")
    rows = drawn()
    below = set().union(*rows[rows.index({"api", "modes"}) :])
    assert {name.removeprefix("fmtt.") for name in pure} <= below
    assert below - {name.removeprefix("fmtt.") for name in pure} <= {"evaluation", "run_folder"}


def test_files_and_names_exist() -> None:
    files = re.findall(r"`((?:fmtt|configs|tests|scripts)/[\w/]+\.\w+)`", TEXT) + re.findall(r"\]\((\w[^)#:]*)\)", TEXT)
    assert len(files) > 12
    assert [file for file in files if not (ROOT / file).exists()] == []
    for name, file in re.findall(r"`(\w+)` in `([\w/]+\.py)`", TEXT):
        assert re.search(rf"^(?:class|def) {name}\b", (ROOT / file).read_text(), flags=re.MULTILINE), (name, file)


def test_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`make ([a-z-]+)`", TEXT)) | set(re.findall(r"^make ([a-z-]+)", TEXT, flags=re.MULTILINE))
    assert targets >= {"setup", "test", "test-all", "docs", "digests"}
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []


def test_ci_runs_the_tests_that_the_readme_names() -> None:
    assert {"make test", "make test-slow"} <= set(re.findall(r"make test[-\w]*", (ROOT / ".ci" / "run").read_text()))
    assert "`make test-all`" in (ROOT / "README.md").read_text()
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
