"""A reward of ours behind HTTP, for ``reward=server`` of a run elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from fmtt.checks import choice, whole_number
from fmtt.flow.conditions import encoded, moved, rows
from fmtt.flow.protocols import Reward, as_reward
from fmtt.rewards.wire import Question, answer, keys_of, unpacked
from fmtt.run.processes import one_process
from fmtt.run.scalars import DEVICES, typed_settings
from fmtt.run.trust import check_trust, made

HIGHEST_PORT = 65535
REMEMBERED = 100_000  # rewards


class RewardServer(ThreadingHTTPServer):
    """Answers requests of :mod:`fmtt.rewards.wire` with the rewards of ``reward``, computed on ``device``.

    One request is computed at a time, since networks keep state while they compute; others wait. A request that the
    reward refuses gets the status 400 and the reason, any other failure the status 500. A request whose samples were
    all judged before is answered from memory: a client that gave up waiting, and repeats its request, gets what was
    computed in the meantime. Samples are known by digests that the server computes itself, whatever keys they have.

    Args:
        host, port: where it listens; port 0 is any that is free.
        reward: pictures ``(B, C, H, W)`` to ``(B,)``, told the prompts if it takes a condition.
        device: where it is computed.
    """

    def __init__(self, host: str, port: int, reward: Any, device: torch.device):
        self.reward, self.device, self.busy = as_reward(reward), device, Lock()
        self.known = OrderedDict[str, float]()
        super().__init__((host, port), Handler)

    def rewards(self, question: Question) -> list[float]:
        """The rewards of the pictures of a request."""
        keys = keys_of(question.pictures, question.prompts)
        with self.busy, torch.no_grad():
            if not self.known.keys() >= set(keys):  # all at once: the rounding of a reward may depend on the batch
                self.known |= zip(keys, rewards_of(self.reward, question, self.device).tolist(), strict=True)
            rewards = [self.known[key] for key in keys]
            while len(self.known) > REMEMBERED:
                self.known.popitem(last=False)
        return rewards


class Handler(BaseHTTPRequestHandler):
    """One request of a :class:`RewardServer`."""

    server: RewardServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            question = unpacked(body)
            status, said = 200, answer(question.keys, self.server.rewards(question))
        except ValueError as error:
            status, said = 400, str(error).encode()
        except Exception as error:
            status, said = 500, f"{type(error).__name__}: {error}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


def rewards_of(reward: Reward, question: Question, device: torch.device) -> Tensor:
    """``r`` of the pictures of a request, ``(B,)``; each text is encoded once.

    Raises:
        ValueError: if the reward needs prompts and there are none.
    """
    pictures = question.pictures.to(device)
    if question.prompts is None or not reward.conditional:
        if reward.needs_condition:
            raise ValueError("the reward that is served needs prompts, and the run has none")
        return reward.call(pictures)
    texts = list(dict.fromkeys(question.prompts))
    conditions = moved(encoded(texts, reward.encode_prompts), device)
    number = torch.tensor([texts.index(text) for text in question.prompts], device=device)
    return reward.call(pictures, condition=rows(conditions, number))


def serve_reward(config: DictConfig) -> None:
    """Serve the reward of ``config`` until Ctrl-C.

    Raises:
        ValueError: if a setting is impossible, or nothing can listen there.
    """
    if "reward.scale" in typed_settings():
        raise ValueError("reward.scale: has no effect here; set it in the run, for reward=server")
    device = one_process(choice("device", config.device, DEVICES)).device
    with server_at(config.host, config.port, made(config.reward, check_trust(config.trust)), device) as server:
        print(f"reward.address=http://{config.host}:{server.server_port}", flush=True)
        server.serve_forever()


def server_at(host: str, port: int, reward: Any, device: torch.device) -> RewardServer:
    """The server of ``reward``, listening.

    Raises:
        ValueError: if nothing can listen there.
    """
    if whole_number("port", port, 0) > HIGHEST_PORT:
        raise ValueError(f"port={port}: must be at most {HIGHEST_PORT}")
    try:
        return RewardServer(host, port, reward, device)
    except OSError as error:
        raise ValueError(f"host={host}, port={port}: {error.strerror}") from error
