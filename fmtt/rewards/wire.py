"""What a judge behind HTTP is sent and what it answers: version 2 of the wire format.

A request is a POST. Its body is a safetensors file with one tensor, ``pictures (B, C, H, W)``, with the exact numbers
that a reward in the process sees: in [-1, 1], and where a decoder overshoots a little beyond. Metadata of the file:

- ``version``: ``2``;
- ``keys``: a JSON list with a different text for each picture;
- ``prompts``: a JSON list with the prompt of each picture, or ``null`` in a run without prompts.

A key is a digest of the picture and its prompt: see :func:`keys_of`. So it names the sample in all requests of all
runs. A request that is repeated after a time-out, or by a run that is resumed, has the keys that it had before, and a
judge may answer it from what it remembers. Samples that are equal have one key, and a request has each of them once.

The answer is JSON, ``{"version": 2, "rewards": {key: number, ...}}``, in any order, with each key of the request once.
A judge that refuses a request answers with a status of 400 or above and one line of text.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fmtt.checks import finite

VERSION = 2
DIGEST = 16  # bytes of a key: two of 10^12 samples share one with a probability of 1e-15
LENGTH = struct.Struct("<Q")  # with which a safetensors file begins: that of its head


class Question(NamedTuple):
    """A request.

    Attributes:
        keys: a different name for each picture.
        pictures: ``(B, C, H, W)``.
        prompts: the text of each picture, or None.
    """

    keys: Sequence[str]
    pictures: Tensor
    prompts: Sequence[str] | None


def keys_of(pictures: Tensor, prompts: Sequence[str] | None) -> list[str]:
    """The keys of samples: digests of what a judge is sent of each.

    A key is BLAKE2b with 16 bytes, in hexadecimal, of four things in a row: type and shape of the picture as text, as
    in ``torch.float32 [3, 64, 64]``; a zero byte; the bytes of its numbers, the least significant of each first; and
    the prompt as ASCII JSON, or ``null``.

    Args:
        pictures: ``(B, C, H, W)``.
        prompts: the text of each picture, or None.
    """
    kind = f"{pictures.dtype} {list(pictures.shape[1:])}\0".encode()
    told = [None] * len(pictures) if prompts is None else prompts

    def key(picture: Tensor, prompt: str | None) -> str:
        content = picture.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return hashlib.blake2b(kind + content + json.dumps(prompt).encode(), digest_size=DIGEST).hexdigest()

    return [key(*sample) for sample in zip(pictures.detach().cpu(), told, strict=True)]


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
    distinct(question.keys)
    return question


def answer(keys: Sequence[str], rewards: Sequence[float]) -> bytes:
    """The body of an answer."""
    return json.dumps({"version": VERSION, "rewards": dict(zip(keys, rewards, strict=True))}).encode()


def rewards_in(body: bytes, keys: Sequence[str]) -> list[float]:
    """The rewards in an answer, in the order of ``keys``.

    Raises:
        ValueError: if it is no answer of this version, if it has other keys or one of them twice, or if a reward is
            not a finite number.
    """
    try:
        said = dict(json.loads(body, object_pairs_hook=tuple))  # a dict would hide a key that is there twice
        version, pairs = said["version"], list(said["rewards"])
        rewards = dict(pairs)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError("the answer is not JSON with version and rewards") from error
    check_version(version)
    distinct([key for key, _ in pairs])
    if missing := [key for key in keys if key not in rewards]:
        raise ValueError(f"the answer has no reward for the sample {missing[0]}")
    if len(rewards) > len(keys):
        raise ValueError(f"the answer has {len(rewards)} rewards for {len(keys)} samples")
    return [finite(f"the reward of sample {key}", rewards[key]) for key in keys]


def distinct(keys: Sequence[str]) -> None:
    """ValueError if two of the keys are the same."""
    (key, times), *_ = Counter(map(str, keys)).most_common(1) or [("", 0)]
    if times > 1:
        raise ValueError(f"the key {key} is there {times} times, must be there once")


def check_version(version: object) -> None:
    """ValueError unless it is ours."""
    if version != VERSION:
        raise ValueError(f"version {version} of the wire format: must be {VERSION}")
