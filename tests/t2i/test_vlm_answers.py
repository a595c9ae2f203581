"""The tokens of Yes and No."""

import pytest
from tokenizers import Regex
from tokenizers.normalizers import Lowercase, Replace

from fmtt.rewards.vlm.answers import answer_tokens
from tests.t2i.tiny_vlm import tokenizer


def test_the_words_of_an_answer_are_whole_tokens() -> None:
    yes, no = answer_tokens(tokenizer())
    assert len(yes) == len(no) == 4 and not set(yes) & set(no)
    with pytest.raises(ValueError, match="splits the answer 'Yes', which must be one token"):
        answer_tokens(tokenizer("a cat and a dog"))
    same = tokenizer()
    same.backend_tokenizer.normalizer = Lowercase()
    assert [len(words) for words in answer_tokens(same)] == [2, 2], "equal tokens are counted once"
    same.backend_tokenizer.normalizer = Replace(Regex(" ?[YyNn](es|o)"), "a")
    with pytest.raises(ValueError, match="does not tell Yes from No"):
        answer_tokens(same)
