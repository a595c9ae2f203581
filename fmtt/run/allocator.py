"""How the C library handles the memory of tensors on the CPU.

By default glibc gives large blocks back to the system as soon as they are free. The next tensor of this size gets new
pages, which the system clears one by one. That took a sixth of the time of a run with many particles
(docs/reliability.md).
"""

from __future__ import annotations

import ctypes
import os
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MAPPED, KEPT = 2**30, 2**31 - 1  # bytes: blocks from here on are given back at once; of others so many are kept
OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")  # settings of the user


def keep_freed_memory() -> None:
    """Let this process use freed memory again, and large tensors have large pages.

    It does nothing on other systems than Linux with glibc, nor where the user has settings of their own.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in OWN):
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it when it makes its first tensor
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, MAPPED)
    libc.mallopt(M_TRIM_THRESHOLD, KEPT)
