"""The reward of a picture of which a vision-language model says that questions about it have the answer yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from fmtt.checks import finite
from fmtt.rewards.t2i.published import PublishedReward
from fmtt.rewards.texts import listed
from fmtt.rewards.vlm.answers import answer_tokens
from fmtt.rewards.vlm.families import load_viewer
from fmtt.rewards.vlm.messages import asked
from fmtt.rewards.vlm.viewer import Viewer

LICENCES = {"Qwen/Qwen3-VL-4B-Instruct": "Apache-2.0"}  # of others, their page tells
PROMPT = "{prompt}"  # its place in a template
TEMPLATE = 'Does this picture show "{prompt}"? Answer Yes or No.'


@dataclass(frozen=True)
class LogOdds:
    """``r(x) = sum_q log p(yes | x, q) - log p(no | x, q)`` for pictures ``(B, 3, H, W)`` in [-1, 1].

    The words are those of GenEval 2: p(yes) is the probability that the answer begins with one of four spellings of
    Yes, p(no) with one of four of No. The log-odds do not depend on any other word, and have no upper bound: unlike
    ``log p(yes)``, they still grow where the model is sure. One question of which it is sure can outweigh another.

    Attributes:
        repository: Qwen2.5-VL or Qwen3-VL on the hub, or a folder of the same layout. Models that think before they
            answer are of no use: the first word decides.
        question: a text, or several; None for the one that ``template`` makes of the prompt.
        template: a question, with ``{prompt}`` where the prompt stands.
        references: files of pictures that stand before x in the message, such as that of a character.
        max_pixels: bound of the size at which pictures are seen; None for that of the repository.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if a setting is wrong, or transformers or weights are missing.
    """

    repository: str = "Qwen/Qwen3-VL-4B-Instruct"
    question: str | Sequence[str] | None = None
    template: str = TEMPLATE
    references: Sequence[str] = ()
    max_pixels: int | None = None
    scale: float = 1.0
    download: bool = False
    viewer: Viewer = field(init=False, repr=False, compare=False)
    words: tuple[list[int], list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        if PROMPT not in self.template:
            raise ValueError(f"reward.template={self.template}: must contain {PROMPT}")
        if self.question is not None and not self.given:
            raise ValueError("reward.question=[]: needs a question, or null for that of the prompt")
        licence = LICENCES.get(self.repository, f"at https://huggingface.co/{self.repository}")
        weights = PublishedReward(self.repository, licence, gated=False, download=self.download)
        object.__setattr__(self, "viewer", load_viewer(weights, self.references, self.max_pixels))
        object.__setattr__(self, "words", answer_tokens(self.viewer.processor.tokenizer))

    @property
    def given(self) -> list[str]:
        """The questions of the configuration."""
        return listed(self.question)

    def encode_prompts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """The tokens of the messages about each prompt, and which of them are known, ``(P, Q, L)`` each.

        Raises:
            ValueError: if a text contains the token of a picture.
        """
        questions = [self.given or [self.template.replace(PROMPT, text)] for text in texts]
        pictures = self.viewer.pictures
        return self.viewer.encode([[[asked(question, pictures)] for question in each] for each in questions])

    def __call__(self, x: Tensor, condition: Mapping[str, Tensor] | None = None) -> Tensor:
        return self.log_odds(x, condition).sum(1)

    def log_odds(self, x: Tensor, condition: Mapping[str, Tensor] | None = None) -> Tensor:
        """The log-odds of yes for each question, ``(B, Q)``, in float32 or better.

        Raises:
            ValueError: if there is no question, or the samples are no pictures in colour.
        """
        if condition is None and not self.given:
            raise ValueError("reward.question=null: needs a question, or a prompt that is asked about")
        if condition is None:
            once = self.encode_prompts([""])
            condition = {name: value.to(x.device).expand(len(x), -1, -1) for name, value in once.items()}
        viewer = self.viewer.on(x.device)
        hidden = viewer(x, condition["tokens"], condition["known"])
        yes, no = (viewer.logits(hidden, tokens).logsumexp(2) for tokens in self.words)
        return yes - no

    def statistics(self, x: Tensor, condition: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The probability of yes, against no, for each question, ``(B,)``; several are numbered from 1."""
        columns = self.log_odds(x, condition).double().sigmoid().unbind(1)
        names = ["says_yes"] if len(columns) == 1 else [f"says_yes/{k}" for k in range(1, len(columns) + 1)]
        return dict(zip(names, columns, strict=True))
