"""Keys of samples: a judge knows a sample again, in all requests of all runs."""

import hashlib
import threading

import pytest
import torch
from torch import Tensor

from fmtt.flow.conditions import rows
from fmtt.rewards.server import JudgeError, Server
from fmtt.rewards.texts import bytes_of
from fmtt.rewards.wire import Question, answer, keys_of
from fmtt.run import serve_reward
from fmtt.run.serve_reward import RewardServer
from tests.rewards.judges import CPU, PICTURES, QUICK, TEXTS, listening, scripted, slope, told


def test_keys_are_the_digests_that_the_docs_describe() -> None:
    picture = torch.tensor([[[[0.5, -1.0]]]])
    content = b"torch.float32 [1, 1, 2]\0" + bytes([0, 0, 0, 0x3F, 0, 0, 0x80, 0xBF])
    for prompt, text in ((None, b"null"), (["a cat"], b'"a cat"')):
        assert keys_of(picture, prompt) == [hashlib.blake2b(content + text, digest_size=16).hexdigest()]


def test_whatever_differs_has_another_key_and_nothing_else_does() -> None:
    picture = PICTURES[:1]
    changed = picture.clone()
    changed[0, 1, 2, 3] += 1e-6
    others = [
        keys_of(changed, None), keys_of(picture.double(), None), keys_of(picture.reshape(1, 3, 5, 4), None),
        keys_of(picture, [""]), keys_of(picture, ["null"]), keys_of(picture, ["a"]), keys_of(-picture, None),
        keys_of(picture.bfloat16(), None),
    ]  # fmt: skip
    assert len({key for (key,) in [keys_of(picture, None), *others]}) == 1 + len(others)
    strided = torch.stack([picture, changed], dim=-1)[..., 0]
    assert not strided.is_contiguous() and keys_of(strided.requires_grad_(), None) == keys_of(picture, None)
    assert keys_of(PICTURES, None) == [*keys_of(PICTURES[:4], None), *keys_of(PICTURES[4:], None)], "of any batch"


def test_a_sample_has_the_same_key_in_every_request_of_every_run() -> None:
    asked = list[str]()

    def noted(number: int, question: Question) -> tuple[int, bytes]:
        asked.extend(question.keys)
        return 200, answer(question.keys, slope(question.pictures).tolist())

    with scripted(noted) as address:
        Server(address, batch=11)(PICTURES)
        first = set(asked)
        asked.clear()
        Server(address, batch=2)(PICTURES.flip(0))
        assert set(asked) == first and len(first) == len(PICTURES) == len(asked)
        Server(address)(PICTURES[:3], bytes_of(TEXTS))
    assert first.isdisjoint(asked[len(PICTURES) :])


def test_a_request_that_is_repeated_has_the_keys_that_it_had() -> None:
    asked = []

    def at_last(number: int, question: Question) -> tuple[int, bytes]:
        asked.append(question.keys)
        return (503, b"busy") if number < 2 else (200, answer(question.keys, slope(question.pictures).tolist()))

    with scripted(at_last) as address:
        found = Server(address, batch=11, retries=2, backoff=0.01)(PICTURES)
    assert torch.equal(found, slope(PICTURES))
    assert asked == 3 * [keys_of(PICTURES, None)]


@pytest.mark.parametrize("batch", [2, 64])
def test_equal_samples_are_sent_once_and_all_get_their_reward(batch: int) -> None:
    """Such as the copies of a particle after resampling."""
    which, texts = torch.tensor([3, 1, 3, 3, 0, 1]), torch.tensor([0, 1, 0, 2, 1, 1])
    sent = list[str]()

    def noted(number: int, question: Question) -> tuple[int, bytes]:
        sent.extend(question.prompts)
        return 200, answer(question.keys[::-1], told(question.pictures, question.prompts).tolist()[::-1])

    with scripted(noted) as address:
        found = Server(address, batch=batch, workers=2)(PICTURES[which], rows(bytes_of(TEXTS), texts))
    assert torch.equal(found, told(PICTURES[which], [TEXTS[number] for number in texts]))
    assert sorted(sent) == sorted(TEXTS[number] for number in (0, 1, 2, 1)), "four differ"


def test_a_key_without_an_answer_is_one_line_in_a_batch_of_equal_samples() -> None:
    which = torch.tensor([0, 1, 0])
    keys = keys_of(PICTURES[:2], None)
    with (
        scripted(lambda number, question: (200, answer(keys[:1], [0.5]))) as address,
        pytest.raises(JudgeError) as failure,
    ):
        Server(address)(PICTURES[which])
    assert str(failure.value) == f"reward.address={address}: the answer has no reward for the sample {keys[1]}"


class Slow:
    """A reward that counts its calls, the first of which waits until it is let go."""

    def __init__(self) -> None:
        self.sizes, self.go = list[int](), threading.Event()

    def __call__(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        if len(self.sizes) == 1:
            self.go.wait(30)
        return slope(x)


def test_a_client_that_gave_up_waiting_gets_what_was_computed_in_the_meantime() -> None:
    reward = Slow()
    with listening(RewardServer("127.0.0.1", 0, reward, CPU)) as address:
        with pytest.raises(JudgeError, match="timed out"):
            Server(address, batch=11, timeout=0.2, retries=0)(PICTURES)
        reward.go.set()
        found = Server(address, batch=11, **QUICK)(PICTURES)
        assert reward.sizes == [len(PICTURES)], "computed once"
        again = Server(address, batch=3, **QUICK)(PICTURES[5:8])
        assert reward.sizes == [len(PICTURES)]
    assert torch.equal(found, slope(PICTURES)) and torch.equal(again, found[5:8])


def test_a_server_believes_no_keys_but_its_own() -> None:
    """Clients that count their samples would get the rewards of others."""
    server = RewardServer("127.0.0.1", 0, slope, CPU)
    server.server_close()
    for part in (slice(0, 2), slice(2, 4)):
        found = server.rewards(Question(["0", "1"], PICTURES[part], None))
        assert found == slope(PICTURES[part]).tolist()


def test_a_server_forgets_what_is_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_reward, "REMEMBERED", 4)
    reward = Slow()
    reward.go.set()
    server = RewardServer("127.0.0.1", 0, reward, CPU)
    server.server_close()
    for part, calls in ((PICTURES[:6], 1), (PICTURES[2:6], 1), (PICTURES[:1], 2), (PICTURES[2:3], 3)):
        keys = keys_of(part, None)
        assert server.rewards(Question(keys, part, None)) == slope(part).tolist()
        assert len(reward.sizes) == calls and len(server.known) == 4
