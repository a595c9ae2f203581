"""What a judge behind HTTP is sent and what it answers: version 1 of the wire format.

A request is a POST. Its body is a safetensors file with one tensor, ``pictures (B, C, H, W)``, with the exact numbers
that a reward in the process sees: in [-1, 1], and where a decoder overshoots a little beyond. Metadata of the file:

- ``version``: ``1``;
- ``keys``: a JSON list with a text for each picture;
- ``prompts``: a JSON list with the prompt of each picture, or ``null`` in a run without prompts.

The answer is JSON, ``{"version": 1, "rewards": {key: number, ...}}``, in any order. A judge that refuses a request
answers with a status of 400 or above and one line of text.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fmtt.checks import finite

VERSION = 1
LENGTH = struct.Struct("<Q")  # with which a safetensors file begins: that of its head


class Question(NamedTuple):
    """A request.

    Attributes:
        keys: a name for each picture.
        pictures: ``(B, C, H, W)``.
        prompts: the text of each picture, or None.
    """

    keys: Sequence[str]
    pictures: Tensor
    prompts: Sequence[str] | None


def packed(question: Question) -> bytes:
    """The body of a request."""
    metadata = {
        "version": str(VERSION),
        "keys": json.dumps(question.keys),
        "prompts": json.dumps(question.prompts),
    }
    return save({"pictures": question.pictures.cpu().contiguous()}, metadata)


def unpacked(body: bytes) -> Question:
    """The inverse of :func:`packed`.

    Raises:
        ValueError: if the body is not a request of this version.
    """
    try:
        (length,) = LENGTH.unpack_from(body)
        metadata = json.loads(body[LENGTH.size : LENGTH.size + length])["__metadata__"]
        version = int(metadata["version"])
        question = Question(json.loads(metadata["keys"]), load(body)["pictures"], json.loads(metadata["prompts"]))
    except (struct.error, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise ValueError("the body is not a safetensors file with pictures, version, keys and prompts") from error
    check_version(version)
    counts = {len(question.pictures), len(question.keys), len(question.prompts or question.keys)}
    if len(counts) > 1:
        raise ValueError("pictures, keys and prompts differ in number")
    return question


def answer(keys: Sequence[str], rewards: Sequence[float]) -> bytes:
    """The body of an answer."""
    return json.dumps({"version": VERSION, "rewards": dict(zip(keys, rewards, strict=True))}).encode()


def rewards_in(body: bytes, keys: Sequence[str]) -> list[float]:
    """The rewards in an answer, in the order of ``keys``.

    Raises:
        ValueError: if it is no answer of this version, if it has other keys, or if a reward is not a finite number.
    """
    try:
        said = json.loads(body)
        version, rewards = said["version"], dict(said["rewards"])
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError("the answer is not JSON with version and rewards") from error
    check_version(version)
    if missing := [key for key in keys if key not in rewards]:
        raise ValueError(f"the answer has no reward for the sample {missing[0]}")
    if len(rewards) > len(keys):
        raise ValueError(f"the answer has {len(rewards)} rewards for {len(keys)} samples")
    return [finite(f"the reward of sample {key}", rewards[key]) for key in keys]


def check_version(version: object) -> None:
    """ValueError unless it is ours."""
    if version != VERSION:
        raise ValueError(f"version {version} of the wire format: must be {VERSION}")
