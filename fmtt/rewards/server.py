"""A judge behind HTTP, such as a model of another environment or on another machine, as a reward."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from torch import Tensor

from fmtt.checks import finite, positive, whole_number
from fmtt.flow.faults import UnavailableError
from fmtt.rewards.geometry import images
from fmtt.rewards.texts import bytes_of, texts_of
from fmtt.rewards.wire import Question, keys_of, packed, rewards_in

LONGEST_WAIT = 60.0  # seconds between two attempts
LONGEST_REASON = 300  # characters of the text with which a judge refuses
PASSING = (408, 429)  # time-out, too many requests: worth another attempt, as all from 500 on are


class JudgeError(UnavailableError):
    """A judge does not answer, or what it answers is wrong. The message is one line that names its address."""


@dataclass(frozen=True)
class Server:
    """``r(x)`` as a server says that speaks the format of :mod:`fmtt.rewards.wire`; not differentiable.

    Samples are pictures ``(B, C, H, W)``; they are sent with the texts of their prompts and with keys that are digests
    of both, so that a judge knows a sample again. Samples that are equal are sent once. A request that fails is
    repeated, after ``backoff``, ``2 backoff``, ``4 backoff``, ... seconds, at most a minute each.

    Attributes:
        address: where the server listens, such as ``http://127.0.0.1:8765``.
        batch: largest number of samples in a request.
        workers: largest number of requests at the same time.
        timeout: seconds that a request may take.
        retries: how often a request is repeated before the run is given up.
        backoff: seconds before the first repetition.
        scale: multiplies the reward.

    Raises:
        ValueError: if a setting is impossible, or samples are not pictures.
        JudgeError: when called, if the server does not answer or answers wrongly.
    """

    address: str
    batch: int = 8
    workers: int = 4
    timeout: float = 60.0
    retries: int = 5
    backoff: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not str(self.address).startswith(("http://", "https://")):
            raise ValueError(f"reward.address={self.address}: must begin with http:// or https://")
        whole_number("reward.batch", self.batch, 1)
        whole_number("reward.workers", self.workers, 1)
        positive("reward.timeout", self.timeout)
        whole_number("reward.retries", self.retries, 0)
        positive("reward.backoff", self.backoff)
        finite("reward.scale", self.scale)

    def encode_prompts(self, texts: Sequence[str]) -> Tensor:
        """The texts themselves as bytes, ``(P, L)``."""
        return bytes_of(texts)

    def __call__(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        pictures = images("server", x).detach().cpu()
        prompts = None if condition is None else texts_of(condition)
        keys, rewards = keys_of(pictures, prompts), dict[str, float]()
        with ThreadPoolExecutor(self.workers) as pool:
            for answer in pool.map(self.ask, self.questions(keys, pictures, prompts)):
                rewards |= answer
        return torch.tensor([rewards[key] for key in keys], dtype=x.dtype, device=x.device)

    def questions(self, keys: Sequence[str], pictures: Tensor, prompts: Sequence[str] | None) -> list[Question]:
        """What is asked about the samples that differ, at most ``batch`` of them at a time.

        Args:
            keys: one for each picture; equal pictures have equal ones.
            pictures: ``(B, C, H, W)``.
            prompts: the text of each picture, or None.
        """
        rows = list({key: row for row, key in enumerate(keys)}.values())
        parts = [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]

        def question(part: Sequence[int]) -> Question:
            texts = None if prompts is None else [prompts[row] for row in part]
            return Question([keys[row] for row in part], pictures[part], texts)

        return [question(part) for part in parts]

    def ask(self, question: Question) -> dict[str, float]:
        """The rewards of one request, by their keys."""
        answer = self._post(packed(question))
        try:
            return dict(zip(question.keys, rewards_in(answer, question.keys), strict=True))
        except ValueError as error:
            raise JudgeError(f"reward.address={self.address}: {error}") from error

    def _post(self, body: bytes) -> bytes:
        """The answer to a request, after as many attempts as it takes and are allowed."""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(self.backoff * 2 ** (attempt - 1), LONGEST_WAIT))
            try:
                status, answer = self._send(body)
            except (OSError, HTTPException) as error:
                reason = str(error) or type(error).__name__
                continue
            if status < 400:
                return answer
            reason = f"status {status}: {' '.join(answer.decode(errors='replace').split())[:LONGEST_REASON]}"
            if status < 500 and status not in PASSING:
                break
        raise JudgeError(f"reward.address={self.address}: {reason}, in attempt {attempt + 1} of {self.retries + 1}")

    def _send(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to one attempt."""
        request = Request(self.address, body, {"Content-Type": "application/octet-stream"})
        try:
            with urlopen(request, timeout=self.timeout) as response:
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
