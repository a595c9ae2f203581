"""Freed memory is used again: the system need not clear new pages for every large tensor."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

MAKE_TENSORS = """
import resource, sys
from fmtt.run.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
import torch
torch.set_num_threads(1)
def some():
    for size in (3_000_000, 5_000_000, 400_000, 9_000_000):
        torch.ones(size) * 2
some()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    some()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str, **settings: str) -> int:
    """New pages that a process needs to make tensors of sizes that it has had before."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "THP_", "GLIBC_"))}
    words = [sys.executable, "-c", MAKE_TENSORS, word]
    return int(subprocess.run(words, env={**own, **settings}, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_tensors_of_the_same_sizes_need_no_new_pages() -> None:
    assert faults("keep") < 0.05 * faults("leave")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_settings_of_the_user_are_left_alone() -> None:
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="131072") > 0.5 * faults("leave")
