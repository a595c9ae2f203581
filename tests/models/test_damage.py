"""Damage to weights is seen: each flipped bit of a bundled file, and of a file that a training has written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fmtt.files import sha256
from fmtt.models import checkpoints
from fmtt.models.checkpoints import BUNDLED, CheckpointError, bundled_hashes, load_network, save_network
from fmtt.models.mlp import TwoTimeMLP


def flipped(content: bytes, place: int) -> bytes:
    damaged = bytearray(content)
    damaged[place] ^= 1 << (place % 8)
    return bytes(damaged)


def test_the_list_of_hashes_is_that_of_the_files() -> None:
    assert bundled_hashes() == {file.name: sha256(file) for file in BUNDLED.glob("*.safetensors")}


def test_flipped_bits_of_bundled_weights_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (BUNDLED / "ring.safetensors").read_bytes()
    (tmp_path / "SHA256SUMS").write_text((BUNDLED / "SHA256SUMS").read_text())
    monkeypatch.setattr(checkpoints, "BUNDLED", tmp_path)
    for place in range(0, len(content), len(content) // 30):
        (tmp_path / "ring.safetensors").write_bytes(flipped(content, place))
        with pytest.raises(CheckpointError, match="checkpoint 'ring' is damaged"):
            load_network("ring", TwoTimeMLP)
    (tmp_path / "ring.safetensors").write_bytes(content)
    assert isinstance(load_network("ring", TwoTimeMLP), TwoTimeMLP)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file as a training writes it."""
    with safe_open(str(BUNDLED / "ring.safetensors"), framework="pt") as file:
        arguments = json.loads(file.metadata()["arguments"])
    save_network(load_network("ring", TwoTimeMLP), arguments, tmp_path / "own.safetensors", {})
    return tmp_path / "own.safetensors"


def test_flipped_bits_of_own_weights_are_seen(own: Path) -> None:
    same = load_network(own, TwoTimeMLP).state_dict()
    assert all(torch.equal(same[name], value) for name, value in load_network("ring", TwoTimeMLP).state_dict().items())
    content = own.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    for place in range(begin, len(content), len(content) // 30):
        own.write_bytes(flipped(content, place))
        with pytest.raises(CheckpointError, match="its content has another hash"):
            load_network(own, TwoTimeMLP)


def test_what_the_header_says_of_the_network_is_sealed(own: Path) -> None:
    """Another argument may keep all shapes and change what the network computes."""
    with safe_open(str(own), framework="pt") as file:
        header = file.metadata()
    tensors = load_file(own)
    save_file(tensors, own, header)
    assert isinstance(load_network(own, TwoTimeMLP), TwoTimeMLP)
    save_file(tensors, own, header | {"arguments": header["arguments"].replace("}", ', "more": 1}')})
    with pytest.raises(CheckpointError, match="its content has another hash"):
        load_network(own, TwoTimeMLP)
