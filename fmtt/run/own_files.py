"""The YAML files of a user, looked at before Hydra reads them: what it could not read, or not in any memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import yaml

FLAGS = ("--config-dir", "-cd")
HYDRA, HYDRAS = "hydra", ("hydra", "hydra_plugins", "fmtt")  # whose parts Hydra may call
PACKAGE = re.compile(r"^\s*#\s*@package\s+hydra\b", re.MULTILINE)  # a file that says it is a part of Hydra's settings
MOST = 100_000  # values of a file, aliases written out
YAML = "tag:yaml.org,2002:"
PLAIN = {*yaml.SafeLoader.yaml_constructors, f"{YAML}merge", f"{YAML}value"}  # the tags of plain values


def wrong_file(words: Sequence[str]) -> str | None:
    """What is wrong with the first file below the folder of ``--config-dir``, on one line; None if nothing is."""
    for folder in config_dirs(words):
        for file in sorted(folder.rglob("*.yaml")):
            if problem := wrong_text(file, of_hydra=file.relative_to(folder).parts[0] == HYDRA):
                return f"{file}{problem}"
    return None


def config_dirs(words: Sequence[str]) -> list[Path]:
    """The folders that ``--config-dir=FOLDER`` or ``--config-dir FOLDER`` name."""
    found = [word.partition("=")[2] for word in words if word.partition("=")[0] in FLAGS and "=" in word]
    found += [after for word, after in pairwise(words) if word in FLAGS]
    return [Path(name) for name in found]


def wrong_text(file: Path, of_hydra: bool) -> str | None:
    """What is wrong with a file, after its name; ``of_hydra`` says whether it lies where Hydra's own groups do."""
    try:
        text = file.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        return f": {error.strerror}"
    except UnicodeDecodeError:
        return ": is no text in UTF-8"
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{line}: {error.problem}"
    except yaml.YAMLError as error:  # of characters that YAML does not have
        return f": {' '.join(str(error).split())}"
    if root is None:
        return None
    return wrong_node(root) or wrong_part(root, of_hydra or PACKAGE.search(text) is not None)


def wrong_part(root: yaml.Node, of_hydra: bool) -> str | None:
    """A part of Hydra itself, such as a callback, that is of another package: it would be called before any check."""
    parts = [(key.value, value) for key, value in pairs(root)]
    places = [root] if of_hydra else [value for name, value in parts if str(name).partition(".")[0] == HYDRA]
    for node in chain.from_iterable(map(below, places)):
        for key, value in pairs(node):
            if key.value == "_target_" and str(value.value).partition(".")[0] not in HYDRAS:
                line = f", line {value.start_mark.line + 1}"
                return f"{line}: Hydra would call {value.value} before it is known whether you trust it"
    return None


def below(node: yaml.Node) -> Iterator[yaml.Node]:
    """A node and all nodes below it."""
    yield node
    for part in children(node):
        yield from below(part)


def pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of a mapping; none of another node."""
    return node.value if isinstance(node, yaml.MappingNode) else []


def wrong_node(root: yaml.Node) -> str | None:
    """A tag that is not YAML's own, or aliases that stand for too much; None if there is neither."""
    nodes: dict[int, yaml.Node] = {}
    sizes: dict[int, float] = {}

    def size(node: yaml.Node) -> float:
        """Of all that a node stands for; infinite if it stands for itself."""
        if id(node) not in sizes:
            nodes[id(node)], sizes[id(node)] = node, math.inf
            sizes[id(node)] = 1 + sum(map(size, children(node)))
        return sizes[id(node)]

    if size(root) > MOST:
        return ": its aliases stand for too much"
    strange = next((node for node in nodes.values() if node.tag not in PLAIN), None)
    return strange and f", line {strange.start_mark.line + 1}: tags such as {strange.tag} are not read"


def children(node: yaml.Node) -> list[yaml.Node]:
    """The nodes below a node."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
