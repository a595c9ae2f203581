"""Each name of a file in a run folder is spelled once, in ``fmtt.run_folder``."""

import ast
from pathlib import Path

import pytest

from fmtt import run_folder

PACKAGE = Path(run_folder.__file__).parent
SCRIPTS = PACKAGE.parent / "scripts"
FILES = sorted({*PACKAGE.rglob("*.py"), *SCRIPTS.glob("*.py")} - {Path(run_folder.__file__)})
NAMES = [value for name, value in vars(run_folder).items() if name.isupper() and isinstance(value, str)]
SPELLED = [*(name for name in NAMES if "." in name), "checkpoint-"]


def strings(source: str) -> list[str]:
    """The texts of a module, those inside f-strings too, without its docstrings."""
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in statements)
    return [node.value for node in texts if isinstance(node.value, str)]


def test_there_are_names_to_look_for() -> None:
    assert {"metrics.json", ".hydra", ".hydra/overrides.yaml", "compare.html"} <= set(SPELLED)


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE.parent)) for file in FILES])
def test_no_name_is_spelled_again(file: Path) -> None:
    assert [text for text in strings(file.read_text()) if any(name in text for name in SPELLED)] == []


def test_a_name_that_is_spelled_again_is_found() -> None:
    assert strings('"""metrics.json"""\npath = f"{x}/metrics.json"') == ["/metrics.json"]
