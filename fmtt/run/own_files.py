"""The YAML files of a user, looked at before Hydra reads them: what it could not read, or not in any memory."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import yaml

FLAG = re.compile(r"--config-(d|p)[a-z]*|-c[dp]")  # of a folder with files; argparse takes shorter forms, too
SEARCHED = re.compile(r"(?:file://)?([^\[\],'\"\s]+)")
MOST = 100_000  # values of a file, aliases written out
YAML = "tag:yaml.org,2002:"
PLAIN = {*yaml.SafeLoader.yaml_constructors, f"{YAML}merge", f"{YAML}value"}  # the tags of plain values


def wrong_file(words: Sequence[str]) -> str | None:
    """What is wrong with the first file below the folders of the user, on one line; None if nothing is."""
    for folder in config_dirs(words):
        for file in sorted(folder.rglob("*.yaml")):
            if problem := wrong_text(file):
                return f"{file}{problem}"
    return None


def config_dirs(words: Sequence[str]) -> list[Path]:
    """The folders that ``--config-dir``, ``--config-path`` or ``hydra.searchpath`` name."""
    found = [word.partition("=")[2] for word in words if "=" in word and FLAG.fullmatch(word.partition("=")[0])]
    found += [after for word, after in pairwise(words) if FLAG.fullmatch(word)]
    for word in words:
        if word.lstrip("+").startswith("hydra.searchpath="):
            found += SEARCHED.findall(word.partition("=")[2])
    return [Path(name) for name in found if "://" not in name]


def wrong_text(file: Path) -> str | None:
    """What is wrong with a file, after its name."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        return f": {error.strerror}"
    except UnicodeDecodeError:
        return ": is no text in UTF-8"
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{line}: {error.problem}"
    except yaml.YAMLError as error:  # of characters that YAML does not have
        return f": {' '.join(str(error).split())}"
    return None if root is None else wrong_node(root)


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
