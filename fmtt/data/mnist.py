"""MNIST as two tensors (LeCun, Cortes, Burges; derived from NIST)."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FILES = {  # split -> (images, labels), each with the md5 of its .gz file
    "train": (
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
    ),
    "test": (
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
}


def candidates() -> list[Path]:
    """Folders where ``MNIST/raw`` may be: ``$FMTT_DATA``, ``../shared/data`` beside the project, the user's cache."""
    here = [Path(os.environ["FMTT_DATA"])] if "FMTT_DATA" in os.environ else []
    project = Path(__file__).resolve().parents[2]
    return [*here, project.parent / "shared" / "data", Path.home() / ".cache" / "fmtt" / "data"]


def available() -> bool:
    """Whether the four files are on this machine, so that no download is needed."""
    return any(_complete(root) for root in candidates())


def load_mnist(split: str) -> tuple[Tensor, Tensor]:
    """Images ``(B, 1, 28, 28)`` uint8 and labels ``(B,)`` int64 of ``split``, ``train`` or ``test``.

    If no folder of :func:`candidates` has the files, torchvision downloads them into the user's cache.

    Raises:
        ValueError: if a file is damaged (its md5 is checked).
    """
    root = next((folder for folder in candidates() if _complete(folder)), None)
    if root is None:
        from torchvision.datasets import MNIST

        root = candidates()[-1]
        MNIST(root, download=True)
    images, labels = (_read(root / "MNIST" / "raw" / name, md5) for name, md5 in FILES[split])
    return images[:, None], labels.long()


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1], the range that models and rewards use."""
    return images.float() / 127.5 - 1


def test_images() -> Tensor:
    """The images of the test set in [-1, 1], ``(10000, 1, 28, 28)``."""
    return to_unit_range(load_mnist("test")[0])


def _complete(root: Path) -> bool:
    return all((root / "MNIST" / "raw" / name).is_file() for split in FILES.values() for name, _ in split)


def _read(path: Path, md5: str) -> Tensor:
    packed = path.read_bytes()
    if hashlib.md5(packed).hexdigest() != md5:
        raise ValueError(f"{path} is damaged: its md5 is not {md5}; delete it and try again")
    raw = gzip.decompress(packed)
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", count=dimensions, offset=4)
    pixels = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    return torch.from_numpy(pixels.copy())
