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
from fmtt.rewards.wire import Question, packed, rewards_in

LONGEST_WAIT = 60.0  # seconds between two attempts
LONGEST_REASON = 300  # characters of the text with which a judge refuses
PASSING = (408, 429)  # time-out, too many requests: worth another attempt, as all from 500 on are


class JudgeError(UnavailableError):
    """A judge does not answer, or what it answers is wrong. The message is one line that names its address."""


@dataclass(frozen=True)
class Server:
    """``r(x)`` as a server says that speaks the format of :mod:`fmtt.rewards.wire`; not differentiable.

    Samples are pictures ``(B, C, H, W)``; they are sent with the texts of their prompts. A request that fails is
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
        with ThreadPoolExecutor(self.workers) as pool:
            answers = list(pool.map(self.ask, self.questions(x, condition)))
        return torch.tensor([reward for answer in answers for reward in answer], dtype=x.dtype, device=x.device)

    def questions(self, x: Tensor, condition: Tensor | None) -> list[Question]:
        """What is asked about ``x (B, C, H, W)``, at most ``batch`` samples at a time; keys are their numbers."""
        pictures = images("server", x).detach().cpu()
        keys = [str(number) for number in range(len(x))]
        prompts = None if condition is None else texts_of(condition)
        parts = [slice(start, start + self.batch) for start in range(0, len(x), self.batch)]
        return [Question(keys[part], pictures[part], None if prompts is None else prompts[part]) for part in parts]

    def ask(self, question: Question) -> list[float]:
        """The rewards of one request, in the order of its keys."""
        answer = self._post(packed(question))
        try:
            return rewards_in(answer, question.keys)
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
