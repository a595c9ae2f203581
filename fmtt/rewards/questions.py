"""The reward of a picture of which a trained network says that questions about it have the answer yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.checks import finite
from fmtt.data.captions import VOCABULARY, Caption, understood, words_of
from fmtt.data.questions import QUESTION_WORDS, answered, asked, questions_of, understood_question
from fmtt.data.scene_reader import Reading, judge, read
from fmtt.models.checkpoints import load_network
from fmtt.models.question_net import QuestionNet
from fmtt.models.words import PADDING, caption_tokens, tokens_of, trimmed
from fmtt.rewards.texts import listed


@dataclass(frozen=True)
class Questions:
    """``r(x) = sum_q log p(yes | x, q)`` for pictures of scenes ``(B, 3, 32, 32)`` in [-1, 1].

    The questions are given, or derived from the prompt, as the checkers of GenEval do: a picture of which all are true
    shows the prompt and nothing else. No reward is larger than 0, where the network is sure of every answer.

    Attributes:
        question: a text, or several; None for those of the prompt.
        checkpoint: the network that answers, a file or the bundled ``question_net``.
        second: a network trained apart, whose verdict is reported beside that of the exact judge; or None.

    Raises:
        ValueError: if a question is not understood.
        CheckpointError: if a file does not exist or is damaged.
    """

    question: str | Sequence[str] | None = None
    checkpoint: str = "question_net"
    second: str | None = "question_evaluator"
    scale: float = 1.0
    upper = 0.0
    network: QuestionNet = field(init=False, repr=False, compare=False)
    other: QuestionNet | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        for text in self.given:
            understood_question(text)
        object.__setattr__(self, "network", load_network(self.checkpoint, QuestionNet))
        object.__setattr__(self, "other", None if self.second is None else load_network(self.second, QuestionNet))

    @property
    def given(self) -> list[str]:
        """The questions of the configuration."""
        return listed(self.question)

    def encode_prompts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """The words of the questions about each prompt ``(P, Q, L)``, padded, and those of the prompts ``(P, L)``.

        Raises:
            ValueError: if a prompt is not in the grammar of captions.
        """
        each = [self.given or [asked(question) for question in questions_of(understood(text))] for text in texts]
        most = max(map(len, each))
        tokens = torch.stack([F.pad(question_tokens(texts), (0, 0, 0, most - len(texts))) for texts in each])
        return {"questions": trimmed(tokens), "caption": caption_tokens(texts)}

    def __call__(self, x: Tensor, condition: Mapping[str, Tensor] | None = None) -> Tensor:
        return F.logsigmoid(self.log_odds(self.network, x, condition)).sum(1)

    def log_odds(self, network: QuestionNet, x: Tensor, condition: Mapping[str, Tensor] | None) -> Tensor:
        """The log-odds of yes for each question ``(B, Q)``; infinite where a prompt has fewer questions than others."""
        if x.shape[1:] != (3, network.size, network.size):
            raise ValueError(
                f"reward vqa needs pictures (3, {network.size}, {network.size}), not samples of shape"
                f" {tuple(x.shape[1:])}"
            )
        if condition is None and not self.given:
            raise ValueError("reward.question=null: needs a question, or a prompt whose questions are asked")
        if condition is None:
            tokens = trimmed(question_tokens(self.given)).to(x.device).expand(len(x), -1, -1)
        else:
            tokens = condition["questions"]
        seen = network.on(x.device).see(x)
        real = (tokens != PADDING).any(2)
        return network.ask(seen, tokens).log_odds.float().masked_fill(~real, torch.inf)

    def statistics(self, x: Tensor, condition: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Shares of samples: of which the network, the second one and the exact judge say yes to all; ``(B,)`` each."""
        found = {"says_yes": self.log_odds(self.network, x, condition).gt(0).all(1).double()}
        if self.other is not None:
            found["second_says_yes"] = self.log_odds(self.other, x, condition).gt(0).all(1).double()
        reading = read(x)
        found["broken"] = reading.broken.double()
        right = self.judged(reading, condition)
        return found if right is None else found | {"right": right.double()}

    def judged(self, reading: Reading, condition: Mapping[str, Tensor] | None) -> Tensor | None:
        """What the exact judge says: yes to all questions that are given, or that the prompt is shown; else None."""
        if self.given:
            answers = [answered(understood_question(text), reading.things) for text in self.given]
            return torch.stack(answers).all(0) & ~reading.broken
        return None if condition is None else judge(captions_of(condition["caption"]), reading)


def question_tokens(texts: Sequence[str]) -> Tensor:
    return tokens_of((words_of(text, "reward.question", QUESTION_WORDS) for text in texts), QUESTION_WORDS)


def captions_of(tokens: Tensor) -> list[Caption]:
    """The captions with the words ``tokens (B, L)``."""
    known: dict[tuple[int, ...], Caption] = {}
    rows = [tuple(row) for row in tokens.tolist()]
    for row in set(rows):
        known[row] = understood(" ".join(VOCABULARY[number - 1] for number in row if number != PADDING))
    return [known[row] for row in rows]
