"""Rules about the source itself: no global randomness, no long files, no swallowed keywords."""

import ast
import importlib
from pathlib import Path

import pytest

import fmtt

ROOT = Path(fmtt.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(file.relative_to(ROOT)) for file in FILES]
EACH = pytest.mark.parametrize("file", FILES, ids=NAMES)

DRAWS = (
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "bernoulli",
    "multinomial",
    "poisson",
    "rand_like",
    "randn_like",
)
GLOBAL = {f"torch.{name}" for name in (*DRAWS, "seed", "manual_seed", "randint_like")}
IN_PLACE = {"normal_", "uniform_", "bernoulli_", "exponential_", "random_", "cauchy_", "log_normal_", "geometric_"}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an attribute, or '' where it does not start with a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else f"?.{node.attr}"
    return ""


def global_draws(source: str) -> list[str]:
    """Calls that draw from a global generator; initial weights of networks, ``nn.init``, are seeded by the trainer."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("torch", "random"):
            found += [
                f"import of {alias.name}" for alias in node.names if alias.name in DRAWS or node.module == "random"
            ]
        if not isinstance(node, ast.Call) or any(keyword.arg == "generator" for keyword in node.keywords):
            continue
        name = dotted(node.func)
        parts = name.split(".")
        numpy = parts[:2] in (["np", "random"], ["numpy", "random"]) or parts[0] == "random"
        in_place = parts[-1] in IN_PLACE and parts[-2:-1] != ["init"]
        if name in GLOBAL or numpy or in_place:
            found.append(f"{name} in line {node.lineno}")
    return found


def test_there_are_files_to_check() -> None:
    assert {"flow/noise.py", "methods/trajectory.py", "models/unet.py"} <= set(NAMES)


@EACH
def test_no_global_randomness(file: Path) -> None:
    assert global_draws(file.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.randn(3)", "torch.rand(2, 2)", "np.random.rand()", "numpy.random.seed(0)", "torch.manual_seed(0)",
        "x.normal_()", "x[0].uniform_(0, 1)", "random.random()", "torch.randn_like(x)",
        "from torch import randn", "from random import choice",
    ],
)  # fmt: skip
def test_global_randomness_is_recognised(line: str) -> None:
    assert len(global_draws(line)) == 1


def test_keyed_randomness_is_not() -> None:
    assert (
        global_draws(
            "torch.rand(3, generator=g); generator(0).standard_normal(3); nn.init.normal_(w); noise.normal((3,), 0)"
        )
        == []
    )


@EACH
def test_files_are_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 300


@EACH
def test_no_function_swallows_keywords(file: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [function.name for function in functions if function.args.kwarg] == []


CORE = ("flow", "tilt", "step", "smc", "methods")
CORE_FILES = [name for name in NAMES if name.startswith(CORE) and not name.endswith("__init__.py")]


@pytest.mark.parametrize("name", CORE_FILES)
def test_public_things_of_the_core_are_documented(name: str) -> None:
    module = importlib.import_module("fmtt." + name.removesuffix(".py").replace("/", "."))
    assert module.__doc__
    here = [thing for thing in vars(module).values() if getattr(thing, "__module__", None) == module.__name__]
    public = [thing for thing in here if callable(thing) and not thing.__name__.startswith("_")]
    assert public
    assert [thing.__name__ for thing in public if not thing.__doc__] == []
